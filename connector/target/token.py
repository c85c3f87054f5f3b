"""The bearer token, so that an operator replaces an expired one without a restart and without a lost update."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connector.errors import ConnectorError
from connector.exchange.logins import is_bearer
from connector.target.token_expiry import expiry_path, read_expiry

CHECK_SECONDS = 1.0
"""The file is looked at no more often than this, unless the endpoint refused the token."""
MAX_BYTES = 16_384


class TokenError(ConnectorError):
    """A token that cannot be used, with the reason and without a character of it."""


class TokenSource(Protocol):
    """Where the sender gets its token from."""

    def current(self) -> str:
        """Give the token to send now; constant time in all but one call a second."""
        ...

    def refresh(self) -> None:
        """Look for a new token now, because the endpoint refused this one."""
        ...

    def ends(self) -> float | None:
        """When the token of now ends, in seconds since the epoch; None: not known."""
        ...


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of reading a changed token file; `problem` is empty when there is a new token, and is safe to log."""

    problem: str = ""


class FixedToken:
    """A token that was given as a value: TARGET_AUTH_TOKEN."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        """Raise `TokenError` when it cannot stand in a header."""
        self._token = _checked(token)

    def __repr__(self) -> str:
        return "FixedToken(***)"

    def current(self) -> str:
        """Give the value, always the same."""
        return self._token

    def refresh(self) -> None:
        """Do nothing: only a restart brings another value."""

    def ends(self) -> None:
        """Say nothing: a value tells no end."""


class FileToken:
    """A token in a file that others replace: TARGET_AUTH_TOKEN_FILE.

    Reading a file of a few hundred bytes in the event loop is faster than handing it to a thread; a file on a network
    share would not be. A replacement that cannot be used leaves the last good token in use and is reported once.
    When the token ends is read from the file beside it, if there is one (`connector.target.token_expiry`).
    """

    __slots__ = ("_checked_at", "_clock", "_ends", "_path", "_problem", "_report", "_seen", "_token")

    def __init__(self, path: Path, clock: Callable[[], float], report: Callable[[Reload], None]) -> None:
        """Read the token; `clock` gives monotonic seconds. Raises `TokenError` when there is none to start with."""
        self._path = path
        self._clock = clock
        self._report = report
        self._problem = ""
        self._seen, self._token = self._read()
        self._ends = self._read_ends(self._token)
        self._checked_at = clock()

    def __repr__(self) -> str:
        return f"FileToken({str(self._path)!r}, ***)"

    def current(self) -> str:
        """Give the token, after reading the file anew if it changed since the last look."""
        now = self._clock()
        if now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            if self._problem or self._signature() != self._seen:
                self.refresh()
        return self._token

    def refresh(self) -> None:
        """Read the file now, changed or not; report a new token, or a new problem, once."""
        try:
            self._seen, token = self._read()
        except TokenError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._report(Reload(self._problem))
            return
        self._ends = self._read_ends(token)
        if token != self._token or self._problem:
            self._token, self._problem = token, ""
            self._report(Reload())

    def ends(self) -> float | None:
        """When the token of now ends, after reading the file anew if it changed."""
        self.current()
        return self._ends

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            return _signature(os.stat(self._path))  # noqa: PTH116 - the same call on a path as on a descriptor
        except OSError:
            return None

    def _read(self) -> tuple[tuple[int, int, int], str]:
        return read_word(self._path, "the token")

    def _read_ends(self, token: str) -> float | None:
        try:
            with expiry_path(self._path).open("rb") as file:
                return read_expiry(file.read(MAX_BYTES), token)
        except OSError:
            return None


def read_word(path: Path, what: str) -> tuple[tuple[int, int, int], str]:
    """Read a file with one word that is secret, and tell its signature. Raises `TokenError`; `what` is "the token"."""
    try:
        with path.open("rb") as file:
            # Before the content: a change between the two is then seen as one at the next look.
            seen = _signature(os.fstat(file.fileno()))
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        msg = f"{what} file {path} cannot be read: {error.strerror}"
        raise TokenError(msg) from error
    if len(content) > MAX_BYTES:
        msg = f"{what} file {path} is longer than {MAX_BYTES} bytes"
        raise TokenError(msg)
    try:
        return seen, _checked(content.decode("utf-8-sig"), what)
    except UnicodeDecodeError:
        msg = f"{what} file {path} is no text"
    except TokenError as error:
        msg = f"{what} file {path}: {error}"
    # Outside of the handlers, so that no cause with a part of the content hangs on the error.
    raise TokenError(msg)


def _signature(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _checked(text: str, what: str = "the token") -> str:
    token = text.strip()
    if not token:
        msg = f"{what} is empty"
    elif not is_bearer(token):
        msg = f"{what} must be one word on one line, without `Bearer` before it"
    else:
        return token
    raise TokenError(msg)
