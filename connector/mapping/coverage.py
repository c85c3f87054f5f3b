"""Which paths of a source found something in samples, and what the others were probably meant to be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.formats.document import Node
from connector.mapping.mistakes import nearest
from connector.mapping.model import Source
from connector.mapping.paths import Path, Root, Select
from connector.mapping.walk import MISSING, Record, Unfit, getter


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A path that found nothing in any sample."""

    path: str
    field: str
    """Of the source in the mapping: `attributes.tier`."""
    nearest: str | None
    """The path that was probably meant, from what the samples have."""


@dataclass(slots=True)
class _Seen:
    """One path: whether it found something, and the names that stood where it left the road."""

    path: Path
    field: str
    matched: bool = False
    names: "dict[int, set[str]] | None" = None


def all_uses(source: Source) -> Iterator[tuple[Path, str]]:
    """Every path that the source names, those of `only` and `except` too, and the field that it stands in."""
    yield from source.uses()
    for copy in source.copies:
        for place, names in (("copy.only", copy.only or ()), ("copy.except", copy.leave_out)):
            yield from ((_under(copy.path, name), place) for name in sorted(names))


def without_another(source: Source, unmatched: Iterable[Unmatched]) -> tuple[Unmatched, ...]:
    """Leave out the paths beside which the same value has one that found something: a renamed field has two.

    Of `visitor` one path of all is enough.
    """
    missing = {(one.path, one.field): one for one in unmatched}
    values = [("occurredAt", source.occurred_at)] if source.occurred_at else []
    values += [(f"attributes.{name}", value) for name, value in source.attributes.items()]
    groups = [[(str(path), field) for path in value.paths] for field, value in values]
    groups.append([(str(p), f"visitor.{kind}") for kind, value in source.visitor.items() for p in value.paths])
    for group in groups:
        if not all(use in missing for use in group):
            for use in group:
                missing.pop(use, None)
    return tuple(missing.values())


class Coverage:
    """Collects samples of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen = [_Seen(path, place) for path, place in all_uses(source)]
        self._each = source.each and getter(source.each)

    def see(self, value: Node, key: Node, headers: Mapping[str, str], topic: str, timestamp_ms: int) -> None:
        """Take in one sample, whatever becomes of it."""
        record = (value, key, headers, topic, timestamp_ms)
        items: list[Any] = [value]
        if self._each:
            found = self._each(value, record)
            items = found if isinstance(found, list) else []
        for seen in self._seen:
            of_record = seen.path is self._source.each or self._source.is_of_record(seen.path)
            for item in [value] if of_record else items:
                if not seen.matched:
                    self._look(seen, item, record)

    def unmatched(self) -> tuple[Unmatched, ...]:
        """Return the paths that found nothing so far, in the order of the source's fields, each field's once."""
        return tuple(
            Unmatched(str(seen.path), seen.field, self._nearest(seen)) for seen in self._seen if not seen.matched
        )

    def _look(self, seen: _Seen, item: Any, record: Record) -> None:
        path = seen.path
        try:
            if getter(path)(item, record) is not MISSING:
                seen.matched = True
                return
        except Unfit:
            seen.matched = True  # It leads to a list that is too long to be searched: a refusal says so.
            return
        for at, step in enumerate(path.steps):
            if isinstance(step, int | Select) or path.root in (Root.TOPIC, Root.TIMESTAMP):
                continue
            before = _node_at(path, at, item, record)
            if isinstance(before, Mapping) and step not in before:
                seen.names = seen.names or {}
                seen.names.setdefault(at, set()).update(before)

    def _nearest(self, seen: _Seen) -> str | None:
        for at, names in sorted((seen.names or {}).items(), reverse=True):
            name = nearest(str(seen.path.steps[at]), names)
            if name is not None:
                steps = seen.path.steps
                return str(Path(seen.path.root, (*steps[:at], name, *steps[at + 1 :])))
        return None


def _node_at(path: Path, at: int, item: Any, record: Record) -> Any:
    if path.root is Root.HEADERS:
        return record[2]
    start = Path(path.root, path.steps[:at])
    try:
        return getter(start)(item, record) if start.steps or path.root is not Root.ITEM else item
    except Unfit:
        return MISSING


def _under(path: Path, name: str) -> Path:
    return Path(path.root, (*path.steps, *name.split(".")))
