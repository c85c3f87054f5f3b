"""Token rotation: an operator replaces a file and nothing is lost, whatever the file's state meanwhile."""

from pathlib import Path

import pytest

from connector.target.token import FileToken, FixedToken, Reload, TokenError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """A token file, its clock, and what was reported."""

    def __init__(self, folder: Path, content: str = "first") -> None:
        self.file = folder / "token"
        self.file.write_text(content)
        self.clock = Clock()
        self.reports: list[Reload] = []
        self.token = FileToken(self.file, self.clock, self.reports.append)

    def later(self) -> str:
        self.clock.now += 1.0
        return self.token.current()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Start with a valid token."""
    return World(tmp_path)


def test_a_fixed_token_is_stripped_and_hidden() -> None:
    """A value from a shell or a secret often ends in a line break, and must never be shown."""
    token = FixedToken(" hidden\n")
    token.refresh()
    assert token.current() == "hidden"
    assert "hidden" not in repr(token)


@pytest.mark.parametrize("text", ["", " \n", "Bearer abc", "a\nb", "a\x00b", "tökén", "a\tb"])
def test_a_token_that_no_header_can_hold_is_refused_at_start(text: str, tmp_path: Path) -> None:
    """A clear error at start, instead of a 401 or a broken header at every request; no character of it is shown."""
    file = tmp_path / "token"
    file.write_text(text)
    for make in (lambda: FixedToken(text), lambda: FileToken(file, Clock(), lambda _: None)):
        with pytest.raises(TokenError) as caught:
            make()
        assert "token" in str(caught.value)
        assert "abc" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused_at_start(tmp_path: Path) -> None:
    """Missing, a folder, no text, too long: each message names the cause and the path."""
    binary, long = tmp_path / "binary", tmp_path / "long"
    binary.write_bytes(b"\xff\xfe\x00")
    long.write_bytes(b"x" * 16_385)
    for path, reason in [
        (tmp_path / "missing", "No such file"),
        (tmp_path, "directory"),
        (binary, "no text"),
        (long, "longer"),
    ]:
        with pytest.raises(TokenError, match=reason) as caught:
            FileToken(path, Clock(), lambda _: None)
        assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_token(tmp_path: Path) -> None:
    """Some editors write one."""
    file = tmp_path / "token"
    file.write_bytes(b"\xef\xbb\xbffirst\r\n")
    assert FileToken(file, Clock(), lambda _: None).current() == "first"


def test_the_repr_of_a_file_token_shows_its_path_only(world: World) -> None:
    """It may be in a traceback."""
    assert str(world.file) in repr(world.token)
    assert "first" not in repr(world.token)


def test_a_changed_file_is_seen_within_a_second_and_not_sooner(world: World) -> None:
    """A check at each request would cost too much."""
    world.file.write_text("second")
    world.clock.now += 0.99
    assert world.token.current() == "first"
    world.clock.now += 0.01
    assert world.token.current() == "second"
    assert world.reports == [Reload()]


def test_an_atomic_replacement_is_seen(world: World) -> None:
    """Kubernetes replaces secrets by another file under the same name."""
    other = world.file.with_name("other")
    other.write_text("other")
    other.replace(world.file)
    assert world.later() == "other"


def test_an_unchanged_file_is_not_reported(world: World) -> None:
    """A log line a second would be noise."""
    assert world.later() == "first"
    world.token.refresh()
    world.file.write_text(" first \n")
    assert world.later() == "first"
    assert world.reports == []


def test_after_a_401_the_token_is_read_again_at_once(world: World) -> None:
    """The next attempt must have the new one."""
    world.file.write_text("second")
    world.token.refresh()
    assert world.token.current() == "second"


def test_a_broken_replacement_keeps_the_last_good_token_and_is_reported_once(world: World) -> None:
    """A half-written file must not stop delivery; and one line says enough."""
    world.file.write_text("")
    assert [world.later(), world.later(), world.later()] == ["first"] * 3
    world.file.unlink()
    assert [world.later(), world.later()] == ["first"] * 2
    world.token.refresh()
    assert [report.problem.split(": ")[-1] for report in world.reports] == [
        "the token is empty",
        "No such file or directory",
    ]
    world.file.write_text("second")
    assert world.later() == "second"
    assert world.reports[2:] == [Reload()]


def test_a_file_that_vanishes_keeps_the_last_good_token_and_is_reported(world: World) -> None:
    """A secret that is being remounted is missing for a moment."""
    world.file.unlink()
    assert world.later() == "first"
    assert ["No such file" in report.problem for report in world.reports] == [True]


def test_the_return_of_the_same_token_is_reported_too(world: World) -> None:
    """The end of a problem must be visible."""
    world.file.write_text("")
    world.later()
    world.file.write_text("first")
    assert world.later() == "first"
    assert len(world.reports) == 2
    assert world.reports[1] == Reload()
