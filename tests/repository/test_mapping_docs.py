"""Holds the page about mappings to the code: its examples are run from their own blocks."""

import json
from typing import Any

import pytest

from connector.events import Change, Nulls, Visitor
from connector.mapping import Changes, Format, JsonMapper, compile_source, load
from tests.support.json_tree import plain
from tests.support.worked_examples import EXAMPLES, Example


def test_the_page_has_its_examples() -> None:
    """A page whose form has changed must not pass by being read as empty."""
    assert len(EXAMPLES) == 7
    assert {Format.DEBEZIUM, Format.CLOUDEVENTS, Format.JSON, Format.AVRO, Format.PROTOBUF} == {
        load(example.mapping).sources[0].format for example in EXAMPLES
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_worked_example(example: Example) -> None:
    """The record's document becomes the change that stands below it, by each way that reads its format."""
    (source,) = load(example.mapping).sources
    compiled = compile_source(source, Nulls.DROP)
    told = json.loads(example.change)
    expected = Change(Visitor("mbox3rdPartyId", told["mbox3rdPartyId"]), told["profile"], told["occurredAt"])
    rest: Any = (None, {}, source.topics[0], 0)
    assert compiled(plain(example.document.encode()), *rest) == Changes((expected,))
    if source.format is Format.JSON:
        assert JsonMapper(compiled, plain)(example.document.encode(), *rest) == Changes((expected,))
