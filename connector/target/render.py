"""From a visitor's attributes to the bytes of its requests, so that the API's sizes and encoding are kept in one place.

Sizes are documented as 8 KB for GET and 60 KB for POST without saying what is counted; the strictest reading is kept:
the whole request target of a GET, and the whole body of a POST. Text is percent-encoded UTF-8 with a space as `%20`,
which reads the same as a form (`application/x-www-form-urlencoded`) and as a URI.
"""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connector.events.change import Visitor

GET_BYTES = 8_192
"""Bytes of `path?query` of a GET, at most."""
POST_BYTES = 61_440
"""Bytes of the body of a POST, at most."""

_PARAMETERS = {"mbox3rdPartyId": "mbox3rdPartyId=", "pcId": "mboxPC="}
_SAFE = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch
_UNSAFE_RUNS = re.compile(r"[^A-Za-z0-9\-._~]+").sub
_CACHED_NAMES = 4_096
_CACHED_NAME_LENGTH = 128


class Method(enum.StrEnum):
    """TARGET_METHOD: which method carries an update."""

    AUTO = "auto"
    """GET while it fits, else POST."""
    GET = "get"
    POST = "post"


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request, ready for the wire, and the `names` of the attributes that it carries.

    `target` is path and query, encoded, in ASCII; `body` is the form of a POST and None for a GET. It holds a visitor
    id in clear, so its repr shows sizes only.
    """

    method: str
    target: str
    body: bytes | None
    names: tuple[str, ...]

    def __repr__(self) -> str:
        size = len(self.target) if self.body is None else len(self.body)
        return f"<Request {self.method}, {size} bytes, {len(self.names)} attributes>"


class Rendered(msgspec.Struct, frozen=True, gc=False):
    """An update's requests, to be sent one after the other, and the attributes that fit in none of any size."""

    requests: tuple[Request, ...]
    unfit: tuple[str, ...]
    most: int = 0
    """Bytes of the largest request that may be, where something fits in none."""


class _Fields(dict[str, str]):
    """Attribute names come again and again: `&profile.<name>=`, encoded once and kept for a bounded number of names."""

    def __missing__(self, name: str) -> str:
        text = f"&profile.{_encode(name)}="
        if len(name) <= _CACHED_NAME_LENGTH:
            if len(self) >= _CACHED_NAMES:
                self.clear()
            self[name] = text
        return text


def _encode(text: str) -> str:
    return text if _SAFE(text) else _UNSAFE_RUNS(_escape, text)


def _escape(run: re.Match[str]) -> str:
    return "%" + run[0].encode().hex("%").upper()


class Renderer:
    """Turns (visitor, attributes) into requests; the same input always gives the same bytes."""

    __slots__ = ("_fields", "_line", "_method", "_most", "_path")

    def __init__(self, path: str, method: Method = Method.AUTO) -> None:
        """`path` is the whole path of the request target, percent-encoded, without a query."""
        self._path = path
        self._line = path + "?"
        self._method = method
        self._most = GET_BYTES if method is Method.GET else POST_BYTES
        self._fields = _Fields()

    def __call__(self, visitor: Visitor, attributes: Mapping[str, str]) -> Rendered:
        """Give the requests in attribute order, each with the identifier; never raises for any text.

        One request while it fits, else several. An attribute that fits in no request by itself is `unfit`, and so is
        one that is no Unicode text (half a surrogate pair); the rest is rendered as if it were not there.
        """
        fields = self._fields
        try:
            head = _PARAMETERS[visitor.kind] + _encode(visitor.id)
            if _SAFE("".join(attributes.values())):
                texts = [fields[name] + value for name, value in attributes.items()]
            else:
                texts = [fields[name] + _encode(value) for name, value in attributes.items()]
        except UnicodeEncodeError:
            return self._only_unicode(visitor, attributes)
        return self._pack(head, tuple(attributes), texts)

    def _pack(self, head: str, names: tuple[str, ...], texts: list[str]) -> Rendered:
        if not texts:
            return Rendered((), ())
        form = head + "".join(texts)
        if len(self._line) + len(form) <= GET_BYTES and self._method is not Method.POST:
            return Rendered((Request("GET", self._line + form, None, names),), ())
        if len(form) <= POST_BYTES and self._method is not Method.GET:
            return Rendered((self._request(form, names),), ())
        room = self._most - len(head) - (len(self._line) if self._method is Method.GET else 0)
        if max(map(len, texts)) > room:
            fit = [(name, text) for name, text in zip(names, texts, strict=True) if len(text) <= room]
            rest = self._pack(head, tuple(name for name, _ in fit), [text for _, text in fit])
            unfit = (name for name, text in zip(names, texts, strict=True) if len(text) > room)
            return Rendered(rest.requests, tuple(unfit), self._most)
        return Rendered(
            tuple(self._request(head + "".join(texts[part]), names[part]) for part in _parts([*map(len, texts)], room)),
            (),
        )

    def _request(self, form: str, names: tuple[str, ...]) -> Request:
        if self._method is Method.GET:
            return Request("GET", self._line + form, None, names)
        return Request("POST", self._path, form.encode("ascii"), names)

    def _only_unicode(self, visitor: Visitor, attributes: Mapping[str, str]) -> Rendered:
        if not _is_unicode(visitor.id):
            return Rendered((), tuple(attributes), self._most)
        good = {name: value for name, value in attributes.items() if _is_unicode(name) and _is_unicode(value)}
        rest = self(visitor, good)
        unfit = {*rest.unfit, *attributes} - {*good} | {*rest.unfit}
        return Rendered(rest.requests, tuple(name for name in attributes if name in unfit), self._most)


def _parts(sizes: Sequence[int], room: int) -> Iterator[slice]:
    """Cut into runs that fill `room` as far as their order allows; no size is larger than it."""
    start = used = 0
    for index, size in enumerate(sizes):
        if used + size > room:
            yield slice(start, index)
            start, used = index, 0
        used += size
    yield slice(start, len(sizes))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
