"""Hostile input: mutated records of each format through the pipeline."""

import pytest

from connector.formats import Format
from tests.simulation.hostile import hostile

RECORDS = 150
"""Of each format; `make simulate` sends ten thousand."""


@pytest.mark.parametrize("record_format", list(Format))
def test_no_mutated_record_is_lost(record_format: Format) -> None:
    """Each ends as accepted, dead-lettered or skipped, the offset reaches the end, and no exception escapes."""
    ends = hostile(record_format, RECORDS, seed=1)
    assert min(ends.expected["changes"], ends.expected["refused"]) > RECORDS / 20, ends


def test_no_item_of_a_mutated_list_is_lost() -> None:
    """With several changes in a record a refused item has a letter by itself, and its neighbours are sent."""
    ends = hostile(Format.PROTOBUF, RECORDS, seed=2, as_list=True)
    assert min(ends.expected["changes"], ends.expected["refused"]) > RECORDS / 20, ends
