"""What the consumer's thread does with batches and with partitions that are held, over a client that only records."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import Start, TopicPartition
from connector.delivery.start_position import LogState
from connector.kafka.group_member import BATCH_BYTES, STALL_SECONDS, GroupMember
from connector.kafka.inbox import Hold, Inbox, ReadOn
from connector.kafka.log_inspector import Found
from tests.support.fakes import FakeRecord, names

P0, P1 = names(2)


class Client:
    """Hands on what it was given, and records what is paused and where it was moved."""

    def __init__(self) -> None:
        self.queue: list[Any] = []
        self.paused: set[int] = set()
        self.moved: list[tuple[int, int]] = []
        self.sought: list[tuple[int, int, int]] = []

    def poll(self, timeout: float) -> Any:  # noqa: ARG002 - there is no time in here
        """One message."""
        return self.queue.pop(0) if self.queue else None

    def consume(self, num_messages: int, timeout: float) -> list[Any]:  # noqa: ARG002 - as above
        """Several."""
        taken, self.queue = self.queue[:num_messages], self.queue[num_messages:]
        return taken

    def pause(self, partitions: list[KafkaTopicPartition]) -> None:
        """Remember it."""
        self.paused |= {p.partition for p in partitions}

    def resume(self, partitions: list[KafkaTopicPartition]) -> None:
        """Remember it."""
        self.paused -= {p.partition for p in partitions}

    def incremental_assign(self, partitions: list[KafkaTopicPartition]) -> None:
        """Remember where to."""
        self.moved += [(p.partition, p.offset) for p in partitions]

    def incremental_unassign(self, partitions: list[KafkaTopicPartition]) -> None:
        """Nothing to remember."""

    def seek(self, partition: KafkaTopicPartition) -> None:
        """Remember where to."""
        self.sought.append((partition.partition, partition.offset, partition.leader_epoch or 0))

    def committed(self, partitions: list[KafkaTopicPartition], timeout: float) -> list[KafkaTopicPartition]:  # noqa: ARG002
        """Nothing was."""
        return [KafkaTopicPartition(p.topic, p.partition, -1001) for p in partitions]


class Logs:
    """Logs of 100 records, known at once; `is_known` False: nothing is answered."""

    def __init__(self) -> None:
        self.is_known = True
        self.topic_id = "AAAAAAAAAAAAAAAAAAAAA1"
        self.trouble = None

    def look(self, wanted: Any) -> "Logs":
        """Ask."""
        self._wanted = list(wanted)
        return self

    def wait(self, seconds: float) -> bool:  # noqa: ARG002 - as above
        """Whether it is answered."""
        return self.is_known

    def found(self) -> dict[TopicPartition, Found]:
        """The answer."""
        return {name: Found(LogState(0, 100, self.topic_id), 2) for name in self._wanted}


class Listener:
    """Records what it is told."""

    def __init__(self) -> None:
        self.starts: dict[TopicPartition, Start] = {}
        self.batches: list[list[int]] = []
        self.read_on: list[TopicPartition] = []

    def assigned(self, partitions: dict[TopicPartition, Start]) -> None:
        """Remember the starts."""
        self.starts |= partitions

    def records(self, batch: list[FakeRecord]) -> None:
        """Remember the offsets."""
        self.batches.append([record.offset() for record in batch])

    def reading_on(self, name: TopicPartition, start: Start) -> None:
        """Remember it."""
        assert self.starts[name] is start
        self.read_on.append(name)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Scene:
    """One member with two partitions."""

    def __init__(self) -> None:
        self.client, self.logs, self.inbox, self.listener = Client(), Logs(), Inbox(), Listener()
        listener: Any = self.listener
        client: Any = self.client
        logs: Any = self.logs
        self.member = GroupMember(client, logs, self.inbox, listener, lambda what, *args: what(*args))
        self.member.assign([KafkaTopicPartition(*P0), KafkaTopicPartition(*P1)], 0.0)
        self.member.turn(0.0)
        self.client.moved.clear()

    def hold(self, name: TopicPartition) -> None:
        """The loop does not want it."""
        self.inbox.place(Hold(name, self.listener.starts[name]))
        self.member.turn(0.1)


def test_a_batch_ends_with_the_record_that_makes_it_large() -> None:
    """Wrong design: batches of a thousand records hold the event loop for as long as their bytes take."""
    scene = Scene()
    large = b"x" * (BATCH_BYTES // 3 + 1)
    scene.client.queue = [FakeRecord(large, offset) for offset in range(8)]
    for _ in range(5):
        scene.member.turn(0.2)
        scene.inbox.grant()
    assert scene.listener.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_back_pressure_does_not_resume_what_is_held() -> None:
    """Wrong design: the end of a pause resumes all, and a held partition is fetched and thrown away for hours."""
    scene = Scene()
    scene.hold(P0)
    assert scene.client.paused == {0}
    while scene.inbox.credits:
        scene.inbox.spend()
    scene.member.turn(1.0)
    scene.member.turn(1.1 + STALL_SECONDS)
    assert scene.client.paused == {0, 1}
    scene.inbox.grant()
    scene.member.turn(5.0)
    assert scene.client.paused == {0}


def test_reading_on_goes_to_the_record_that_waited_and_says_so() -> None:
    """What was read before that is dropped, also what the thread has not handed on yet."""
    scene = Scene()
    scene.hold(P0)
    scene.inbox.place(ReadOn(P0, scene.listener.starts[P0], 42, 7))
    scene.member.turn(0.3)
    assert (scene.client.moved, scene.client.sought, scene.client.paused) == ([(0, 42)], [(0, 42, 7)], set())
    assert scene.listener.read_on == [P0]


def test_a_partition_that_was_assigned_anew_is_not_moved_by_what_was_asked_before() -> None:
    """Wrong design: partitions are told apart by name, and the new assignment begins where the old one waited."""
    scene = Scene()
    stale = scene.listener.starts[P0]
    scene.member.lost([P0])
    scene.member.assign([KafkaTopicPartition(*P0)], 1.0)
    scene.member.turn(1.1)
    scene.client.moved.clear()
    for request in (Hold(P0, stale), ReadOn(P0, stale, 42, -1)):
        scene.inbox.place(request)
    scene.member.turn(1.2)
    assert (scene.client.moved, scene.client.paused, scene.listener.read_on) == ([], set(), [])


def test_a_log_that_is_another_one_meanwhile_is_read_from_its_start() -> None:
    """The wait was for a record of the old log; nobody reads on there."""
    scene = Scene()
    scene.hold(P0)
    before = scene.listener.starts[P0]
    scene.logs.topic_id = "AAAAAAAAAAAAAAAAAAAAA2"
    for second in (10.0, 16.0, 22.0):
        scene.member.turn(second)
    scene.inbox.place(ReadOn(P0, before, 42, -1))
    scene.member.turn(23.0)
    assert scene.listener.starts[P0] is not before
    assert scene.client.moved == [(0, 0), (1, 0)]
    assert (scene.client.paused, scene.listener.read_on) == (set(), [])
