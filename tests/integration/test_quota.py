"""`connector quota` on a real broker: what it shows and books."""

import json
from pathlib import Path

from tests.support.kafka.client import Kafka
from tests.support.process import Command, environment


def test_calls_of_others_are_booked_and_the_window_is_shown(kafka: Kafka, tmp_path: Path) -> None:
    """Before the first replica runs there is nothing to show; a booking creates the ledger and is counted."""
    topic = kafka.unique_topic("booked", 1)
    settings = environment(kafka.bootstrap, topic, "http://127.0.0.1:9", QUOTA_UPDATES=1_000)

    def quota(*words: str) -> Command:
        with Command(tmp_path, ["quota", *words], settings) as command:
            command.wait()
        return command

    missing = quota("--format", "json")
    assert missing.exit_code == 0
    assert f"the topic {topic}.quota does not exist yet" in missing.stderr
    assert (json.loads(missing.stdout)["used"], json.loads(missing.stdout)["free"]) == (0, 1_000)
    assert "does not exist yet" in quota().stderr, "looking at it has not made it"
    booked = quota("spend", "250", "--note", "nightly import", "--format", "json")
    assert booked.exit_code == 0, booked.stderr
    assert json.loads(booked.stdout)["used"] == 250
    shown = quota()
    assert shown.exit_code == 0, shown.stderr
    assert f"{topic}.quota: 250 of 1,000 used in 24 h (25 %), 750 free" in shown.stdout
    assert "nightly import" in shown.stdout
    assert "nobody holds a lease" in shown.stdout
    slip = quota("spend", "751")
    assert slip.exit_code == 2
    assert "nothing was booked: 751 updates are more than the 750 that are free (250 of 1,000 are used)" in slip.stderr
    assert json.loads(quota("--format", "json").stdout)["used"] == 250
    meant = quota("spend", "751", "--yes", "--note", "really made")
    assert meant.exit_code == 0, meant.stderr
    assert "booked: 751 updates, which count for 24 h" in meant.stdout
    assert "it is used up" in meant.stdout
    told = json.loads(quota("--format", "json").stdout)
    assert [(booking["updates"], booking["note"]) for booking in told["bookings"]] == [
        *((250, "nightly import"), (751, "really made"))
    ]
