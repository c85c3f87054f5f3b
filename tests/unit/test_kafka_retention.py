"""A topic's retention, by its configuration."""

import pytest

from connector.kafka.retention import kept


@pytest.mark.parametrize(
    ("configs", "seconds"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000"}, 604_800.0),
        ({"cleanup.policy": "compact,delete", "retention.ms": "60000"}, 60.0),
        # Wrong design: -1 is a limit that every age exceeds, and the alert fires for a topic that keeps all.
        ({"cleanup.policy": "delete", "retention.ms": "-1"}, None),
        # Wrong design: retention.ms of a compacted topic, which deletes nothing by it, is taken for its retention.
        ({"cleanup.policy": "compact", "retention.ms": "604800000"}, None),
        ({"retention.ms": "1000"}, 1.0),
        ({"cleanup.policy": "delete", "retention.ms": None}, None),
        ({}, None),
    ],
)
def test_what_a_topic_keeps(configs: dict[str, str | None], seconds: float | None) -> None:
    """A gauge for a topic without a limit is wrong, and a missing one hides the loss."""
    assert kept(configs) == seconds
