"""What the client answers about logs is taken for what it says, and no more."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient

from connector.delivery.start_position import LogState, TopicPartition
from connector.kafka.config import KafkaConfig
from connector.kafka.log_inspector import AdminInspector, AdminLook, Found

HERE, AWAY = TopicPartition("t", 0), TopicPartition("t", 1)
INVALID = -1001
"""librdkafka's offset where there is none."""


class _Result:
    """An answer about a topic or a partition, as far as it is read."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.topic_id = "TOPIC-ID"
        self.partitions = (HERE, AWAY)


def _done(result: _Result | KafkaError) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(result, KafkaError):
        future.set_exception(KafkaException(result))
    else:
        future.set_result(result)
    return future


class _Admin:
    """The client's answers: for the first offset of each partition and the last one."""

    def __init__(self, *answers: Mapping[TopicPartition, _Result | KafkaError]) -> None:
        self._answers = list(answers)

    def describe_topics(self, _topics: object, **_: object) -> dict[str, Future[Any]]:
        return {"t": _done(_Result())}

    def list_offsets(
        self, wanted: Iterable[KafkaTopicPartition], **_: object
    ) -> dict[KafkaTopicPartition, Future[Any]]:
        answers = self._answers.pop(0)
        return {place: _done(answers[TopicPartition(place.topic, place.partition)]) for place in wanted}


class _Inspector(AdminInspector):
    """Counts the looks after which a new client is taken."""

    failures = 0

    def failed(self) -> None:
        self.failures += 1


def look(*answers: Mapping[TopicPartition, _Result | KafkaError]) -> tuple[AdminLook, _Inspector]:
    """A look whose answers are there."""
    inspector = _Inspector(KafkaConfig("b:9092", ("t",), "g"))
    client = cast("AdminClient", _Admin(*answers))
    return AdminLook(client, inspector, [HERE, AWAY], IsolationLevel.READ_COMMITTED), inspector


def test_offsets_and_ids_are_found() -> None:
    """Where reading begins is decided by all three."""
    made, inspector = look({HERE: _Result(3), AWAY: _Result(0)}, {HERE: _Result(9), AWAY: _Result(0)})
    assert made.wait(0)
    assert made.found() == {
        HERE: Found(LogState(3, 9, "TOPIC-ID"), 2),
        AWAY: Found(LogState(0, 0, "TOPIC-ID"), 2),
    }
    assert (made.trouble, inspector.failures) == (None, 0)


@pytest.mark.parametrize("away", [_Result(INVALID), KafkaError(KafkaError.LEADER_NOT_AVAILABLE)], ids=["none", "error"])
@pytest.mark.parametrize("which", [0, 1], ids=["first", "last"])
def test_an_offset_that_no_leader_gave_is_none(away: _Result | KafkaError, which: int) -> None:
    """A log that seemed to end at -1001 was taken for one whose tail was cut: records were told missed, or sent again.

    Where the leader could not be reached the client answers so without an error, and asks the same one for ever.
    """
    answers: list[dict[TopicPartition, _Result | KafkaError]] = [{HERE: _Result(3), AWAY: _Result(3)} for _ in range(2)]
    answers[which][AWAY] = away
    made, inspector = look(*answers)
    assert made.found() == {HERE: Found(LogState(3, 3, "TOPIC-ID"), 2)}
    assert made.trouble is not None
    assert made.trouble.code == "LEADER_NOT_AVAILABLE"
    assert inspector.failures == 1
