"""What the client answers about logs is taken for what it says, and no more."""

import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import EarliestSpec  # the stubs of `admin` do not export it

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


class _Admin:
    """A client whose answers about the first offsets, the last ones and the ids come when the test lets them."""

    def __init__(self, *answers: Mapping[TopicPartition, _Result | KafkaError]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.waiting: list[tuple[Future[Any], _Result | KafkaError]] = []

    def describe_topics(self, topics: TopicCollection, **_: object) -> dict[str, Future[Any]]:
        assert not self.waiting, "one question at a time"
        return {topic: self._ask("ids", _Result()) for topic in topics.topic_names}

    def list_offsets(
        self, wanted: Mapping[KafkaTopicPartition, Any], **_: object
    ) -> dict[KafkaTopicPartition, Future[Any]]:
        assert not self.waiting, "one question at a time"
        answers = self._answers.pop(0)
        (what,) = {"first" if isinstance(spec, EarliestSpec) else "last" for spec in wanted.values()}
        return {
            place: self._ask(f"{what} {place.partition}", answers[TopicPartition(place.topic, place.partition)])
            for place in wanted
        }

    def _ask(self, what: str, answer: _Result | KafkaError) -> Future[Any]:
        self.asked.append(what)
        future: Future[Any] = Future()
        self.waiting.append((future, answer))
        return future

    def answer(self) -> None:
        """Answer what was asked."""
        while self.waiting:
            future, result = self.waiting.pop()
            if isinstance(result, KafkaError):
                future.set_exception(KafkaException(result))
            else:
                future.set_result(result)


class _Inspector(AdminInspector):
    """Counts the looks after which a new client is taken."""

    failures = 0

    def failed(self) -> None:
        self.failures += 1
        super().failed()


def inspecting(*clients: _Admin) -> _Inspector:
    """An inspector that gets these clients, one after the other."""
    left = list(clients)
    return _Inspector(KafkaConfig("b:9092", ("t",), "g"), lambda _: cast("AdminClient", left.pop(0)))


def look(*answers: Mapping[TopicPartition, _Result | KafkaError]) -> tuple[AdminLook, _Inspector]:
    """A look whose answers are there."""
    client = _Admin(*answers)
    inspector = inspecting(client)
    made = inspector.look([HERE, AWAY])
    for _ in range(3):
        client.answer()
        made.wait(0)
    return made, inspector


def some(**of: int) -> dict[TopicPartition, _Result | KafkaError]:
    """Answers for both partitions."""
    return {HERE: _Result(of.get("here", 3)), AWAY: _Result(of.get("away", 3))}


def test_offsets_and_ids_are_found() -> None:
    """Where reading begins is decided by all three."""
    made, inspector = look(some(here=3, away=0), some(here=9, away=0))
    assert made.wait(0)
    assert made.found() == {
        HERE: Found(LogState(3, 9, "TOPIC-ID"), 2),
        AWAY: Found(LogState(0, 0, "TOPIC-ID"), 2),
    }
    assert (made.trouble, inspector.failures) == (None, 0)


def test_a_client_is_asked_one_question_at_a_time() -> None:
    """Metadata that arrived while ListOffsets looked up the leaders ended the process by a segmentation fault.

    Once it is known that there are ids they are asked for first: one of a new log must not go with offsets of the old.
    """
    client = _Admin(some(), some(), some(), some())
    inspector = inspecting(client)
    first, last = ["first 0", "first 1"], ["last 0", "last 1"]
    for steps in ((first, last, ["ids"]), (["ids"], first, last)):
        made = inspector.look([HERE, AWAY])
        for step in steps:
            assert not made.wait(0)
            assert client.asked == step
            client.answer()
            client.asked.clear()
        assert made.wait(0)
        assert made.found().keys() == {HERE, AWAY}


def test_a_client_that_has_not_answered_is_kept_beside_a_new_one() -> None:
    """A second question would be one too many; and what the first one asked, as whether there are ids, is of use."""
    first, second, third = _Admin(), _Admin(some()), _Admin(some(), some(), some())
    inspector = inspecting(first, second, third)
    inspector.ask_for_ids(["t"])
    inspector.look([HERE, AWAY])
    last = inspector.look([HERE, AWAY])
    assert [client.asked for client in (first, second, third)] == [["ids"], *[["first 0", "first 1"]] * 2]
    kept = weakref.ref(first)
    del first
    assert kept() is not None
    future, _ = kept().waiting.pop()  # type: ignore[union-attr]
    future.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001 - librdkafka's own code
    assert inspector.gives_ids is False
    third.answer()
    assert not last.wait(0)
    third.answer()
    assert last.wait(0), "ids are not waited for"
    assert last.found() == dict.fromkeys((HERE, AWAY), Found(LogState(3, 3, ""), 0))
    third.answer()
    inspector.look([HERE])
    assert kept() is None


def test_a_closed_inspector_lets_go_of_its_clients() -> None:
    """Also while a look is held: one that the collector ended in its own thread would make librdkafka abort."""
    first, second = _Admin(), _Admin(some())
    inspector = inspecting(first, second)
    inspector.ask_for_ids(["t"])
    made = inspector.look([HERE, AWAY])
    kept = [weakref.ref(client) for client in (first, second)]
    del first, second
    inspector.close()
    assert [client() for client in kept] == [None, None]
    assert not made.is_answered


def test_where_a_log_ends_is_asked_of_leaders_that_answer() -> None:
    """One that does not would take the time of all others again."""
    client = _Admin(some(away=INVALID), some())
    made = inspecting(client).look([HERE, AWAY])
    client.answer()
    assert not made.wait(0)
    assert client.asked == ["first 0", "first 1", "last 0"]


@pytest.mark.parametrize("away", [_Result(INVALID), KafkaError(KafkaError.LEADER_NOT_AVAILABLE)], ids=["none", "error"])
@pytest.mark.parametrize("which", [0, 1], ids=["first", "last"])
def test_an_offset_that_no_leader_gave_is_none(away: _Result | KafkaError, which: int) -> None:
    """A log that seemed to end at -1001 was taken for one whose tail was cut: records were told missed, or sent again.

    Where the leader could not be reached the client answers so without an error, and asks the same one for ever.
    """
    answers = [some(), some()]
    answers[which][AWAY] = away
    made, inspector = look(*answers)
    assert made.found() == {HERE: Found(LogState(3, 3, "TOPIC-ID"), 2)}
    assert made.trouble is not None
    assert made.trouble.code == "LEADER_NOT_AVAILABLE"
    assert inspector.failures == 1
