"""How large a part of the connector may grow: what is larger is more than one thing, and nobody reads it whole."""

import ast
from collections.abc import Iterator
from pathlib import Path

import connector

ROOT = Path(connector.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
CATALOGUES = {"ops/events.py", "settings/model.py"}
"""Lists of what there is, which are read by looking up."""
MOST_LINES = 300
MOST_PARAMETERS = 7


def constructors() -> Iterator[tuple[str, int]]:
    """The place of each constructor, and the number of its parameters."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                yield f"{path.relative_to(ROOT)}:{node.lineno}", len(parameters) - 1


def test_no_module_is_longer_than_300_lines() -> None:
    """But the two catalogues."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} == CATALOGUES


def test_no_constructor_takes_more_than_seven_parameters() -> None:
    """What needs more does the work of two, or is handed what belongs together one by one."""
    found = dict(constructors())
    assert {place: count for place, count in found.items() if count > MOST_PARAMETERS} == {}
    assert max(found.values()) == MOST_PARAMETERS, "the scan sees them"
