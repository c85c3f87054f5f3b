"""The last step before a log line is written: nothing secret and no one's identity may pass it.

It works on the whole line rather than trusting each caller, because the strings of other people's libraries and
exceptions pass here too. The caller's objects are read, never changed.
"""

import enum
import hashlib
import math
import re
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from connector.events.change import Visitor
from connector.ops.failures import describe
from connector.ops.text_masks import MASK, PAYLOAD_MASK, VISITOR_MASK, forms_of, mask_patterns, writable

MORE: Final = "[more]"
"""Stands where a line was cut: `MAX_TEXT`, `MAX_DEPTH` or `MAX_ITEMS`."""

MAX_TEXT: Final = 4_096
"""Characters of one string."""
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 1_000
"""Entries of all the containers of one line together, which also ends a structure that contains itself."""
MIN_SECRET: Final = 4
"""Characters; masking every "a" would say more about the password "a" than it hides."""
LEARNT_SECRETS: Final = 8
"""Tokens are replaced for ever: only the newest ones can still turn up."""

_READ_AT_MOST: Final = 16_384
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_KEYS_REMEMBERED: Final = 1_000

_SECRET_NAMES = re.compile(
    "password|passwd|passphrase|secret|token|authorization|credential|apikey|privatekey|keypem|jaasconfig|cookie"
)
_NOT_SECRET_NAMES = re.compile("(?:file|location)$")
"""`TARGET_AUTH_TOKEN_FILE` names a place, and the place is what an operator looks for."""
_VISITOR_NAMES = frozenset({"visitor", "visitorid", "mbox3rdpartyid", "thirdpartyid", "mboxpc", "pcid"})
_PAYLOAD_NAMES = frozenset({"payload", "profile", "attributes", "body"})


class VisitorIds(enum.StrEnum):
    """How a visitor is written in a line; the values of `LOG_VISITOR_IDS`."""

    HASH = "hash"
    """The kind and the first 16 hex digits of the id's plain SHA-256.

    One visitor can be followed through the lines of all replicas, and who has an id can look for it
    (`printf %s ID | sha256sum`). It is a pseudonym and no more: who can guess an id can test the guess.
    """
    PLAIN = "plain"
    OMIT = "omit"
    """The field is left out."""


class _Kind(enum.Enum):
    PLAIN = enum.auto()
    SECRET = enum.auto()
    VISITOR = enum.auto()
    PAYLOAD = enum.auto()


class _Budget:
    """How many entries one line may still take."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_ITEMS


class Redactor:
    """A structlog processor that returns a new line: the same event, of plain JSON types, with what is secret masked.

    `secrets` are texts that may stand in no string of any line, in any of the forms that quoting gives them; those
    shorter than `MIN_SECRET` are not looked for. Field order is kept after `timestamp`, `level` and `event`.
    """

    def __init__(self, visitor_ids: VisitorIds, secrets: Iterable[str] = ()) -> None:
        self._visitor_ids = visitor_ids
        self._given = tuple(secrets)
        self._learnt: deque[str] = deque(maxlen=LEARNT_SECRETS)
        self._keys: dict[str, tuple[_Kind, str]] = {}
        self._literals: re.Pattern[str] | None = None
        self._longest = 0
        self._compile()

    def learn(self, secret: str, *, lasting: bool = False) -> None:
        """Mask this text too from now on; of those that are not `lasting`, such as tokens, the newest few are kept."""
        if secret in self._given or secret in self._learnt:
            return
        if lasting:
            self._given = (*self._given, secret)
        else:
            self._learnt.append(secret)
        self._compile()

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """One line in, one line out; it never raises, because a log line must not stop a delivery."""
        line = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
        budget = _Budget()
        for name, value in event.items():
            if name not in line:
                try:
                    self._put(line, name, value, 0, budget)
                except Exception as error:  # noqa: BLE001 - a field's own code may raise anything while it is read
                    line[name] = f"<unreadable: {type(error).__name__}>"
        return line

    def _compile(self) -> None:
        forms = {
            form for secret in (*self._given, *self._learnt) if len(secret) >= MIN_SECRET for form in forms_of(secret)
        }
        longest_first = sorted(forms, key=len, reverse=True)
        self._longest = max(map(len, forms), default=0)
        self._literals = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._keys.clear()

    def _put(self, line: dict[str, Any], name: object, value: object, depth: int, budget: _Budget) -> None:
        kind, shown = self._key(name)
        if kind is _Kind.VISITOR and self._visitor_ids is VisitorIds.OMIT:
            return
        line[shown] = self._field(kind, value, depth, budget)

    def _key(self, name: object) -> tuple[_Kind, str]:
        if type(name) is not str:
            return _Kind.PLAIN, str(self._value(name, MAX_DEPTH, _Budget()))
        known = self._keys.get(name)
        if known is None:
            known = _kind_of(name), self._text(name)
            if len(self._keys) < _KEYS_REMEMBERED:
                self._keys[name] = known
        return known

    def _field(self, kind: _Kind, value: object, depth: int, budget: _Budget) -> object:
        if value is None or type(value) is bool or kind is _Kind.PLAIN:
            return self._value(value, depth, budget)
        if kind is _Kind.VISITOR:
            return self._visitor(value)
        if kind is _Kind.PAYLOAD and isinstance(value, int | float):
            return self._value(value, depth, budget)
        return MASK if kind is _Kind.SECRET else PAYLOAD_MASK

    def _value(self, value: object, depth: int, budget: _Budget) -> object:  # noqa: PLR0911 - a table of types
        kind = type(value)
        if kind is str:
            return self._text(value)  # type: ignore[arg-type] # mypy does not narrow by `type() is`
        if value is None or kind is bool:
            return value
        if isinstance(value, Visitor):
            return self._visitor(value)
        if isinstance(value, enum.Enum):
            return self._value(value.value, depth, budget)
        if isinstance(value, int):
            return int(value) if _MIN_INT <= value <= _MAX_INT else "<large number>"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, Mapping | list | tuple | set | frozenset | deque):
            return self._container(value, depth + 1, budget) if depth < MAX_DEPTH else MORE
        return self._scalar(value)

    def _container(self, value: Mapping[Any, Any] | Iterable[Any], depth: int, budget: _Budget) -> object:
        if isinstance(value, Mapping):
            line: dict[str, Any] = {}
            for name, item in value.items():
                budget.left -= 1
                if budget.left < 0:
                    line[MORE] = MORE
                    break
                self._put(line, name, item, depth, budget)
            return line
        items: list[object] = []
        for item in value:
            budget.left -= 1
            if budget.left < 0:
                items.append(MORE)
                break
            items.append(self._value(item, depth, budget))
        return items

    def _scalar(self, value: object) -> object:
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, BaseException):
            return self._text(describe(value))
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, UUID | Decimal | PurePath):
            return self._text(str(value))
        return f"<{type(value).__name__}>"

    def _visitor(self, value: object) -> object:
        if isinstance(value, list | tuple):
            return [self._visitor(item) for item in value[:MAX_ITEMS]]
        if self._visitor_ids is VisitorIds.OMIT or not isinstance(value, Visitor | str | int):
            return VISITOR_MASK
        kind, identity = (value.kind + ":", value.id) if isinstance(value, Visitor) else ("", str(value))
        if self._visitor_ids is VisitorIds.HASH:
            return kind + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return writable(self._without_literals(kind + identity))

    def _text(self, text: str) -> str:
        cut = len(text) > _READ_AT_MOST
        if cut:
            text = text[:_READ_AT_MOST]
        text = self._without_literals(text)
        if cut:
            # A secret that lies across the cut has lost its tail and cannot be found: let go of what may be its head.
            text = text[: max(0, len(text) - self._longest)]
        text = mask_patterns(text)
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT] + MORE
        return text if text.isascii() else writable(text)

    def _without_literals(self, text: str) -> str:
        return text if self._literals is None else self._literals.sub(MASK, text)


def _kind_of(name: str) -> _Kind:
    bare = re.sub("[^a-z0-9]", "", name.lower())
    if bare in _VISITOR_NAMES:
        return _Kind.VISITOR
    if bare in _PAYLOAD_NAMES:
        return _Kind.PAYLOAD
    if _SECRET_NAMES.search(bare) and not _NOT_SECRET_NAMES.search(bare):
        return _Kind.SECRET
    return _Kind.PLAIN
