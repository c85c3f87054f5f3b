"""Holds the page about mappings to the code: its six examples are run from their own blocks."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from connector.events import Change, Nulls, Visitor
from connector.mapping import Changes, Format, JsonMapper, compile_source, load
from tests.support.json_tree import plain

PAGE = (Path(__file__).parents[2] / "docs" / "next" / "mapping.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"^### (.+?)\n\n```yaml\n(.+?)```\n\n```json\n(.+?)```\n\n```json\n(.+?)```", PAGE, re.DOTALL | re.MULTILINE
)


def test_the_page_has_its_six_examples() -> None:
    """A page whose form has changed must not pass by being read as empty."""
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(
    ("mapping", "record", "change"), [example[1:] for example in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_worked_example(mapping: str, record: str, change: str) -> None:
    """The record's document becomes the change that stands below it, by each way that reads its format."""
    (source,) = load(mapping).sources
    compiled = compile_source(source, Nulls.DROP)
    told = json.loads(change)
    expected = Change(Visitor("mbox3rdPartyId", told["mbox3rdPartyId"]), told["profile"], told["occurredAt"])
    rest: Any = (None, {}, source.topics[0], 0)
    assert compiled(plain(record.encode()), *rest) == Changes((expected,))
    if source.format is Format.JSON:
        assert JsonMapper(compiled, plain)(record.encode(), *rest) == Changes((expected,))
