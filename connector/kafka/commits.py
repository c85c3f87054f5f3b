"""Commits on their way to the group coordinator: sent without waiting, and each matched to its own answer."""

import concurrent.futures
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery import offset_mark
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.errors import CommitFailed
from connector.kafka.client import CommitClient
from connector.kafka.errors import FENCED

Offsets = dict[TopicPartition, OffsetAndMetadata]

_SERIALS: Final = 1 << 20
"""After this number of commits their serials begin again; five hexadecimal digits."""


class Commit:
    """A commit and its waiter."""

    __slots__ = ("done", "offsets", "serial", "starts")

    def __init__(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        self.offsets: Offsets = dict(offsets)
        self.starts: Mapping[TopicPartition, Start | None] = {}
        """Where each partition had begun when this was sent: an answer is about that log."""
        self.serial = ""
        self.done: concurrent.futures.Future[bool] = concurrent.futures.Future()
        """True when the coordinator acknowledged it, False when nothing of it is owned; or CommitFailed."""

    def keep_owned(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], starts: Mapping[TopicPartition, Start | None]
    ) -> None:
        """Commit these alone, which are owned at the moment of sending and began there."""
        self.offsets, self.starts = dict(offsets), starts

    def number(self, serial: str) -> None:
        """It is sent under this serial number."""
        self.serial = serial

    def answer(self, *, acknowledged: bool) -> None:
        """Wake the waiter; its deadline may have passed, then there is none."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_result(acknowledged)

    def refuse(self, error: CommitFailed) -> None:
        """Likewise, with what went wrong."""
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


class Answered:
    """The answer to one commit."""

    __slots__ = ("commit", "is_fenced")

    def __init__(self, commit: Commit | None, *, is_fenced: bool) -> None:
        """`commit` is there when it was acknowledged. `is_fenced`: the group does not know this member any more."""
        self.commit = commit
        self.is_fenced = is_fenced


class CommitQueue:
    """Sends commits and finds the one that an answer belongs to.

    Two commits may hold the same offsets, and an answer may get lost, so equal offsets do not tell which of them was
    answered. Each commit therefore carries a serial number behind its metadata, which the answer repeats.
    """

    def __init__(self) -> None:
        self._serials = count()
        self._on_the_way: dict[str, Commit] = {}
        self._left: deque[Commit] = deque()

    def send(self, client: CommitClient, commit: Commit) -> None:
        """Send it without waiting. Nothing to commit is answered at once."""
        if not commit.offsets:
            commit.answer(acknowledged=False)
            return
        commit.number(f"~{next(self._serials) % _SERIALS:x}")
        self._on_the_way[commit.serial] = commit
        try:
            client.commit(
                offsets=[_numbered(name, where, commit.serial) for name, where in commit.offsets.items()],
                asynchronous=True,
            )
        except KafkaException as error:
            del self._on_the_way[commit.serial]
            commit.refuse(CommitFailed(error.args[0].str()))

    def answered(self, error: KafkaError | None, partitions: list[KafkaTopicPartition]) -> Answered:
        """Take what the client says of a commit, and wake its waiter."""
        serial = next((serial_of(p.metadata) for p in partitions if p.metadata), "")
        commit = self._on_the_way.pop(serial, None)
        errors = [e for e in (error, *(p.error for p in partitions)) if e is not None]
        is_fenced = any(e.code() in FENCED for e in errors)
        if commit is not None and errors:
            refused = any(e.code() == KafkaError.OFFSET_METADATA_TOO_LARGE for e in errors)
            commit.refuse(CommitFailed(errors[0].str(), metadata_refused=refused))
            return Answered(None, is_fenced=is_fenced)
        if commit is not None:
            commit.answer(acknowledged=True)
        return Answered(commit, is_fenced=is_fenced)

    def close(self) -> None:
        """No answer comes any more."""
        for commit in self._on_the_way.values():
            commit.refuse(CommitFailed("the consumer was closed before the answer came"))


def read(partition: KafkaTopicPartition) -> OffsetAndMetadata:
    """What a group committed, without the serial number of that commit."""
    metadata = partition.metadata or ""
    return OffsetAndMetadata(max(-1, partition.offset), metadata.removesuffix(serial_of(metadata)))


def serial_of(metadata: str) -> str:
    """The serial number at the end of a commit's metadata; empty where there is none."""
    at = metadata.rfind("~")
    digits = metadata[at + 1 :]
    return metadata[at:] if at >= 0 and 0 < len(digits) <= len(f"{_SERIALS:x}") and _is_hex(digits) else ""


def _is_hex(text: str) -> bool:
    return all(each in "0123456789abcdef" for each in text)


def _numbered(name: TopicPartition, where: OffsetAndMetadata, serial: str) -> KafkaTopicPartition:
    epoch = offset_mark.decode(where.metadata).epoch
    metadata = where.metadata + serial
    if epoch < 0:
        return KafkaTopicPartition(*name, where.offset, metadata)
    # With the epoch the client itself finds, at the next start, that the log was cut below the offset.
    return KafkaTopicPartition(*name, where.offset, metadata, epoch)
