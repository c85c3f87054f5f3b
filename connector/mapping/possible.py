"""Which paths of a source can lead to nothing, whatever the record, by what a schema says."""

from collections.abc import Iterable

from connector.formats.readers import Format
from connector.formats.shape import Shape
from connector.mapping.coverage import Unmatched, all_uses
from connector.mapping.mistakes import nearest
from connector.mapping.model import Source
from connector.mapping.paths import Path, Root, Step

_ENVELOPE = "specversion"
"""Every CloudEvent has it: a schema with it describes the event, any other its data."""


def impossible(source: Source, value: Shape, key: Shape | None = None) -> tuple[Unmatched, ...]:
    """Give the paths that can lead to nothing, each with the path that was probably meant.

    A `key` of None is not known. Nothing is said of what no schema describes: headers, topic and timestamp.
    """
    root = _document(source, value)
    item = root if source.each is None else _follow(root, (*source.each.steps, 0))[0]
    starts = {Root.VALUE: root, Root.ITEM: item, Root.KEY: () if key is None else key.alternatives}
    found = []
    for path, field in all_uses(source):
        start = starts.get(path.root, ())
        if start:
            steps = (*path.steps, 0) if path is source.each else path.steps
            reached, at, names = _follow(start, steps)
            if not reached:
                found.append(Unmatched(str(path), field, _meant(path, at, names)))
    return tuple(found)


def _document(source: Source, value: Shape) -> tuple[Shape, ...]:
    if source.format is Format.CLOUDEVENTS and all(_ENVELOPE not in one.fields for one in value.alternatives):
        return (Shape("CloudEvent", {"data": value}, is_open=True),)
    return value.alternatives


def _follow(shapes: tuple[Shape, ...], steps: Iterable[Step]) -> tuple[tuple[Shape, ...], int, frozenset[str]]:
    """Give what may stand at the end; nothing, with the step that leads there and the names beside it, if none can."""
    for at, step in enumerate(steps):
        following: dict[int, Shape] = {}
        for shape in shapes:
            for one in _next(shape, step):
                following[id(one)] = one
        if not following:
            return (), at, frozenset(name for shape in shapes for name in shape.fields)
        shapes = tuple(following.values())
    return shapes, 0, frozenset()


def _next(shape: Shape, step: Step) -> tuple[Shape, ...]:
    inner = shape.fields.get(step, shape.values) if isinstance(step, str) else shape.items
    if inner is not None:
        return inner.alternatives
    return (shape,) if shape.is_open else ()


def _meant(path: Path, at: int, names: frozenset[str]) -> str | None:
    step = path.steps[at] if at < len(path.steps) else 0
    name = nearest(step, names) if isinstance(step, str) else None
    return None if name is None else str(Path(path.root, (*path.steps[:at], name, *path.steps[at + 1 :])))
