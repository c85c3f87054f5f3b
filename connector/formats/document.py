"""What every format decodes to: a tree of values, read by the paths of a mapping."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from connector.events.change import Refused

Node: TypeAlias = "dict[str, Node] | list[Node] | str | int | float | bool | bytes | None"
"""A `float` is NaN or an infinity, which a mapping refuses: every other number is an `int`, or text as it is sent."""

RawHeaders: TypeAlias = Sequence[tuple[str, bytes | None]] | None

VALUE: Final = "$value"
KEY: Final = "$key"
SCHEMA: Final = "schema"
"""The field of a refusal that says what is wrong with a schema, before the record that has it is known."""
MAX_NAME: Final = 200
"""Characters of a refusal's field: it becomes a Kafka header, and a header's name may be long."""


class Record(Protocol):
    """A record of the log, as Kafka's client gives it."""

    def key(self) -> bytes | None:
        """Return the key."""
        ...

    def value(self) -> bytes | None:
        """Return the value, None for a tombstone."""
        ...

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        """Return the headers in their order; a name may come twice."""
        ...


class Headers(Mapping[str, str]):
    """Headers as text. Of a name that comes twice, the first counts; a header of null is absent.

    Decoded when asked for: most headers are for other programs, and need not be text.
    """

    __slots__ = ("_items",)

    def __init__(self, items: RawHeaders) -> None:
        """`items` is what the record has."""
        self._items = items or ()

    def __getitem__(self, name: str) -> str:
        """Return the text; `Refused` when it is not UTF-8."""
        data = first_header(self._items, name)
        if data is None:
            raise KeyError(name)
        return header_text(name, data)

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for name, data in self._items if data is not None})

    def __len__(self) -> int:
        return len({name for name, data in self._items if data is not None})


class Document(msgspec.Struct, frozen=True, gc=False):
    """One record's value, key and headers, read by its format."""

    value: Node
    key: Node
    headers: Mapping[str, str]


def first_header(headers: RawHeaders, name: str) -> bytes | None:
    """Return the first header of that name that has a value."""
    for known, data in headers or ():
        if known == name and data is not None:
            return data
    return None


def header_text(name: str, data: bytes) -> str:
    """Return a header as text; `Refused` names it when it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise refused_header(name, f"must be UTF-8, and is not at byte {error.start}") from None


def refused_header(name: str, reason: str) -> Refused:
    """Return a refusal that names the header."""
    return Refused(f"$headers.{name[:MAX_NAME]}", reason)
