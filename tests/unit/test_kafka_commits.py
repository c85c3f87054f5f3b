"""Commits and their answers: the matching decides what a member may send."""

from typing import Literal

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_mark import OffsetMark, encode
from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.commits import Commit, CommitQueue, read, serial_of
from connector.kafka.errors import FENCED

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


class _Client:
    """Records commits; the test gives the answers."""

    def __init__(self) -> None:
        self.sent: list[list[KafkaTopicPartition]] = []
        self.refuses = False

    def commit(self, *, offsets: list[KafkaTopicPartition], asynchronous: Literal[True]) -> None:
        assert asynchronous
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError._STATE))  # noqa: SLF001 - librdkafka's own codes are spelt so
        self.sent.append(offsets)


def _answer(sent: list[KafkaTopicPartition], code: int | None = None) -> list[KafkaTopicPartition]:
    """Arguments of librdkafka's `on_commit`: the same partitions, each with its own error."""
    return [_Answered(p.topic, p.partition, p.offset, p.metadata, code) for p in sent]  # type: ignore[misc]


class _Answered:
    def __init__(self, topic: str, partition: int, offset: int, metadata: str | None, code: int | None) -> None:
        self.topic, self.partition, self.offset, self.metadata = topic, partition, offset, metadata
        self.error = None if code is None else KafkaError(code)


def _commit(offset: int, metadata: str = "") -> Commit:
    return Commit({P0: OffsetAndMetadata(offset, metadata)})


def test_a_lost_answer_does_not_shift_those_after_it() -> None:
    """Wrong design: answers come in the order of the commits; after a lost one each is taken for the one before."""
    client, queue = _Client(), CommitQueue()
    first, second, third = _commit(1), _commit(2), _commit(3)
    for commit in (first, second, third):
        queue.send(client, commit)
    assert queue.answered(None, _answer(client.sent[1])).commit is second
    assert (first.done.done(), second.done.result(0), third.done.done()) == (False, True, False)
    assert queue.answered(None, _answer(client.sent[2])).commit is third
    assert not first.done.done(), "it is unknown whether it landed"


def test_commits_of_equal_offsets_are_distinguished() -> None:
    """Wrong design: the offsets identify the commit, so a late answer to the first of two equal ones renews by both."""
    client, queue = _Client(), CommitQueue()
    early, late = _commit(7), _commit(7)
    queue.send(client, early)
    queue.send(client, late)
    assert queue.answered(None, _answer(client.sent[0])).commit is early
    assert not late.done.done(), "its request may be from before the group forgot us"


def test_a_repeated_or_unknown_answer_is_ignored() -> None:
    """Wrong design: the oldest waiting commit takes an answer that nothing else matches."""
    client, queue = _Client(), CommitQueue()
    commit, other = _commit(1), _commit(2)
    queue.send(client, commit)
    queue.send(client, other)
    assert queue.answered(None, _answer(client.sent[0])).commit is commit
    assert queue.answered(None, _answer(client.sent[0])).commit is None
    assert queue.answered(None, []).commit is None
    assert not other.done.done()


@pytest.mark.parametrize("code", sorted(FENCED))
def test_a_fencing_error_of_one_partition_is_enough(code: int) -> None:
    """Wrong design: only the error of the whole answer is checked, and a zombie keeps committing."""
    client, queue = _Client(), CommitQueue()
    commit = _commit(1)
    queue.send(client, commit)
    answered = queue.answered(None, _answer(client.sent[0], code))
    assert (answered.commit, answered.is_fenced) == (None, True)
    with pytest.raises(CommitFailed):
        commit.done.result(0)


def test_too_large_metadata_is_distinguished_from_other_refusals() -> None:
    """Wrong design: it is retried unchanged, for ever."""
    client, queue = _Client(), CommitQueue()
    commit = _commit(1)
    queue.send(client, commit)
    queue.answered(None, _answer(client.sent[0], KafkaError.OFFSET_METADATA_TOO_LARGE))
    with pytest.raises(CommitFailed) as failed:
        commit.done.result(0)
    assert failed.value.metadata_refused


def test_a_commit_that_cannot_be_sent_is_refused_at_once() -> None:
    """Wrong design: its waiter waits for an answer that never comes."""
    client, queue = _Client(), CommitQueue()
    client.refuses = True
    commit = _commit(1)
    queue.send(client, commit)
    with pytest.raises(CommitFailed):
        commit.done.result(0)
    queue.close()


def test_nothing_to_commit_is_answered_without_asking_and_proves_nothing() -> None:
    """Wrong design: an empty commit is a success, and renews the lease without any answer of the group."""
    client, queue = _Client(), CommitQueue()
    commit = Commit({})
    queue.send(client, commit)
    assert (commit.done.result(0), client.sent) == (False, [])


def test_closing_refuses_waiting_commits() -> None:
    """Wrong design: the loop's last commit waits for its whole deadline after the consumer is closed."""
    client, queue = _Client(), CommitQueue()
    commit = _commit(1)
    queue.send(client, commit)
    queue.close()
    with pytest.raises(CommitFailed):
        commit.done.result(0)


def test_the_serial_number_is_not_part_of_what_was_committed() -> None:
    """Wrong design: the number stays at the end of the metadata, which the next owner then cannot read."""
    client, queue = _Client(), CommitQueue()
    mark = encode(OffsetMark("AAAAAAAAAAAAAAAAAAAAA1", 3), "rest")
    queue.send(client, Commit({P0: OffsetAndMetadata(5, mark), P1: OffsetAndMetadata(6)}))
    (first, second) = client.sent[0]
    assert (first.leader_epoch, second.leader_epoch) == (3, -1) or second.leader_epoch is None
    assert serial_of(first.metadata or "") == serial_of(second.metadata or "") != ""
    assert read(first) == OffsetAndMetadata(5, mark)
    assert read(second) == OffsetAndMetadata(6, "")


@pytest.mark.parametrize("metadata", ["", "a~", "a~xyz", "a~1234567", "~g", "log1:x:1:;2:3"])
def test_what_is_no_serial_number_is_left_as_it_is(metadata: str) -> None:
    """Wrong design: a tilde in foreign metadata cuts it."""
    assert serial_of(metadata) == ""
    assert read(KafkaTopicPartition("t", 0, 5, metadata)) == OffsetAndMetadata(5, metadata)


def test_nothing_committed_is_one_number() -> None:
    """Librdkafka uses -1001; two numbers for none need one comparison too many."""
    assert read(KafkaTopicPartition("t", 0, -1001)).offset == -1
