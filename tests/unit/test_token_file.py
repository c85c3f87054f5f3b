"""The token's file as its readers see it: whole at any moment, private, with the end of that very token beside it."""

import fcntl
import os
import random
import stat
from pathlib import Path

import pytest

from connector.cli.token.renew import renew
from connector.cli.token.store import StoreFailed
from connector.cli.token.token_file import TURN_SECONDS, TokenFile
from connector.target.profile_token.answers import ProfileToken
from connector.target.token import FileToken, Reload, TokenError, read_word
from connector.target.token_expiry import expiry_path, write_expiry
from tests.support.tokens import FakeServices
from tests.support.virtual_time import run

NOON = 1_795_867_200.0


def write(path: Path, *tokens: ProfileToken) -> ProfileToken | None:
    """Store these, one after the other; returns what is read back."""

    async def scenario() -> ProfileToken | None:
        async with TokenFile(path) as store:
            for token in tokens:
                await store.write(token)
            return await store.read()

    return run(scenario())


def test_a_token_is_stored_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    """Also over a file that everybody could read; nothing else is left in the folder."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    token = ProfileToken("first", NOON)
    assert write(path, token) == token
    assert path.read_text() == "first\n"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, expiry_path(path))] == [0o600, 0o600]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["token", "token.expires"]


def test_a_token_without_a_known_end_takes_the_former_note_away(tmp_path: Path) -> None:
    """It would be of no use to anybody."""
    path = tmp_path / "token"
    assert write(path, ProfileToken("first", NOON), ProfileToken("second", None)) == ProfileToken("second", None)
    assert not expiry_path(path).exists()


def test_a_reader_never_finds_a_part_and_always_the_right_end(tmp_path: Path) -> None:
    """The service reads at any moment: between the two files too, as after a run that was killed there."""
    path = tmp_path / "token"
    write(path, ProfileToken("first", NOON))
    reports: list[Reload] = []
    clock = [0.0]
    token = FileToken(path, lambda: clock[0], reports.append)
    assert (token.current(), token.ends()) == ("first", NOON)
    expiry_path(path).write_bytes(write_expiry("second", NOON + 60))
    clock[0] += 1
    assert (token.current(), token.ends()) == ("first", NOON)
    token.refresh()
    assert (token.current(), token.ends()) == ("first", None)
    write(path, ProfileToken("second", NOON + 60))
    clock[0] += 1
    assert (token.ends(), token.current()) == (NOON + 60, "second")
    assert reports == [Reload()]


@pytest.mark.parametrize("note", [b"", b"{", b'{"expires": "soon"}', b"\xff", write_expiry("another", NOON)])
def test_a_note_that_says_nothing_of_this_token_is_passed_over(tmp_path: Path, note: bytes) -> None:
    """A token put there by hand has no end that is known."""
    path = tmp_path / "token"
    path.write_text("first")
    expiry_path(path).write_bytes(note)
    assert FileToken(path, lambda: 0.0, lambda _: None).ends() is None


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_what_is_no_token_counts_as_none(tmp_path: Path, content: bytes | None) -> None:
    """It is replaced, not mourned."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    assert write(path) is None


def test_where_nothing_can_be_written_no_token_is_ended(tmp_path: Path) -> None:
    """A POST before that would leave every replica without the token, which nobody has."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing" / "token", tmp_path / "folder", tmp_path / "file" / "token", Path("/proc/token")):
        services = FakeServices()
        with pytest.raises(StoreFailed, match="cannot be written") as caught:
            run(renew(services.client(), TokenFile(path), 60.0, random.Random(1), services.now))
        assert str(path) in str(caught.value)
        assert services.requests == []


def test_a_disk_that_is_full_leaves_the_former_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no file of its own: the next run finds the folder as it was."""
    path = tmp_path / "token"
    write(path, ProfileToken("first", NOON))

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFailed, match="No space left"):
        write(path, ProfileToken("second", NOON))
    assert path.read_text() == "first\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["token", "token.expires"]


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    """Two that each have a token made leave one of them ended, and perhaps that one stored."""
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(StoreFailed, match=f"{TURN_SECONDS:.0f} s"):
        write(tmp_path / "token")
    os.close(folder)
    assert write(tmp_path / "token") is None


def test_a_secret_s_file_is_read_as_one_word_and_never_shown(tmp_path: Path) -> None:
    """The client secret too; an editor's line break is no part of it."""
    path = tmp_path / "secret"
    path.write_text("p8e-hidden\n")
    assert read_word(path, "the client secret")[1] == "p8e-hidden"
    path.write_text("p8e hidden")
    with pytest.raises(TokenError, match="the client secret file") as caught:
        read_word(path, "the client secret")
    assert "hidden" not in str(caught.value)
