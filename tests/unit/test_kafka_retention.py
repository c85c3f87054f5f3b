"""How long a topic keeps a record, by its configuration."""

import pytest

from connector.kafka.retention import kept


@pytest.mark.parametrize(
    ("configs", "seconds"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000"}, 604_800.0),
        ({"cleanup.policy": "compact,delete", "retention.ms": "60000"}, 60.0),
        # Wrong design: -1 is a limit that every age is beyond, and the alert fires for a topic that keeps all.
        ({"cleanup.policy": "delete", "retention.ms": "-1"}, None),
        # Wrong design: the age that a compacted topic never deletes by is taken for its retention.
        ({"cleanup.policy": "compact", "retention.ms": "604800000"}, None),
        ({"retention.ms": "1000"}, 1.0),
        ({"cleanup.policy": "delete", "retention.ms": None}, None),
        ({}, None),
    ],
)
def test_what_a_topic_keeps(configs: dict[str, str | None], seconds: float | None) -> None:
    """A gauge that is there without a limit is a false statement, and one that is missing hides the loss."""
    assert kept(configs) == seconds
