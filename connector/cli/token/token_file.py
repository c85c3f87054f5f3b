"""A token in a file: a reader finds the former one or the new one, and never a part."""

import asyncio
import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from connector.cli.token.store import StoreFailed
from connector.target.profile_token.answers import ProfileToken
from connector.target.token import MAX_BYTES, TokenError, read_word
from connector.target.token_expiry import expiry_path, read_expiry, write_expiry

TURN_SECONDS: Final = 60.0
"""How long another `connector token` on the same folder is waited for."""
POLL_SECONDS: Final = 0.5


class TokenFile:
    """The file of TARGET_AUTH_TOKEN_FILE, mode 0600, and the note of its end beside it.

    Both are written as another file of the same folder and renamed over: the note first, since readers look at it when
    the token changes. The folder is locked meanwhile, where its file system can: two runs at once would each end the
    other's token, and the one that is stored last need not be the one that is left.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    async def __aenter__(self) -> Self:
        try:
            self._folder = os.open(self._path.parent, os.O_RDONLY)
        except OSError as error:
            raise self._failed(error) from error
        for _ in range(int(TURN_SECONDS / POLL_SECONDS)):
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(POLL_SECONDS)
            except OSError:
                return self  # This file system has no locks.
            else:
                return self
        os.close(self._folder)
        msg = f"another `connector token` has held the folder of {self._path} for {TURN_SECONDS:.0f} s"
        raise StoreFailed(msg, "look what it waits for")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._folder)

    async def read(self) -> ProfileToken | None:
        """Give what is there; a file that holds no token counts as none."""
        try:
            os.unlink(self._new(b""))  # noqa: PTH108 - a plain path of tempfile's
            if self._path.is_dir():
                raise IsADirectoryError
        except OSError as error:
            raise self._failed(error) from error
        try:
            _, text = read_word(self._path, "the token")
        except TokenError:
            return None
        with suppress(OSError), expiry_path(self._path).open("rb") as file:
            return ProfileToken(text, read_expiry(file.read(MAX_BYTES), text))
        return ProfileToken(text, None)

    async def write(self, token: ProfileToken) -> None:
        """Put it there."""
        note = expiry_path(self._path)
        try:
            if token.ends is None:
                note.unlink(missing_ok=True)
            else:
                self._replace(note, write_expiry(token.text, token.ends))
            self._replace(self._path, token.text.encode() + b"\n")
            os.fsync(self._folder)
        except OSError as error:
            raise self._failed(error) from error

    def _replace(self, path: Path, content: bytes) -> None:
        made = self._new(content)
        try:
            os.replace(made, path)  # noqa: PTH105 - as above
        except OSError:
            os.unlink(made)  # noqa: PTH108 - as above
            raise

    def _new(self, content: bytes) -> str:
        """A file of the same folder with this content, readable by its owner alone."""
        descriptor, made = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        with os.fdopen(descriptor, "wb") as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.unlink(made)  # noqa: PTH108 - as above
                raise
        return made

    def _failed(self, error: OSError) -> StoreFailed:
        why = error.strerror or type(error).__name__
        what = f"{self._path} cannot be written: {why}"
        return StoreFailed(what, "its folder must be there, and be writable for this user")
