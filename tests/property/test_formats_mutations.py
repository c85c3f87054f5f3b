"""Mutated records of each format: a document, a skip, a refusal or a missing schema comes out, and nothing else."""

import random

import pytest

from connector.events import Refused
from connector.formats import Document, Format, KeyForm, Node, SchemaMissing, make_reader
from tests.support.formats import FakeRecord, FakeSchemas, framed
from tests.support.mutated_records import CANARY, GIVEN, mutated, schema_of

RECORDS = 300
"""Of each format; `python -m tests.simulation.hostile` reads ten thousand each."""


@pytest.mark.parametrize("record_format", list(Format))
def test_nothing_else_comes_out_of_a_mutated_record(record_format: Format) -> None:
    """Issue, 7: the process lives, and a refusal quotes no value."""
    read_mutated(record_format, RECORDS, seed=1)


def read_mutated(record_format: Format, records: int, seed: int) -> dict[str, int]:
    """Read that number of mutated records; return the count of each result."""
    rng = random.Random(f"{record_format} {seed}")
    reader = make_reader(
        record_format, FakeSchemas(schema_of(record_format)), key=KeyForm.FORMAT, zero_values=seed % 2 == 0
    )
    ends: dict[str, int] = {}
    reasons: list[str] = []
    for _ in range(records):
        value, headers = mutated(rng, rng.choice(GIVEN[record_format]))
        key = mutated(rng, (framed(b"\x00\x00"), None))[0] if rng.random() < 0.1 else None
        try:
            document = reader.read(FakeRecord(value, key, headers))
        except Refused as refused:
            reasons.append(str(refused))
            end = "refused"
        except SchemaMissing:
            end = "missing"
        else:
            end = "skipped" if document is None else "read"
            if document is not None:
                _check(document)
        ends[end] = ends.get(end, 0) + 1
    assert len(reasons) > records / 10, ends
    assert not [reason for reason in reasons if CANARY in reason or len(reason) > 500]
    return ends


def _check(document: Document) -> None:
    assert document.value is not None
    _check_node(document.value)
    _check_node(document.key)


def _check_node(node: Node) -> None:
    if type(node) is dict:
        for name, each in node.items():
            assert type(name) is str
            _check_node(each)
    elif type(node) is list:
        for item in node:
            _check_node(item)
    elif type(node) is float:
        assert repr(node) in ("nan", "inf", "-inf")
    else:
        assert type(node) in (str, int, bool, bytes, type(None)), type(node)
    if type(node) is str:
        node.encode()
