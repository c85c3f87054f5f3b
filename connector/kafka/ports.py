"""What the consumer's user has to offer: everything here is called on the event loop, in the order it happened."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.start_position import Beginning
from connector.kafka.errors import KafkaFailure


class Listener(Protocol):
    """Told what the group does. Records of a partition come only between its `assigned` and its `revoked` or `lost`."""

    def assigned(self, partitions: Mapping[TopicPartition, Start]) -> None:
        """These are added to what is owned, with where reading begins and what an earlier owner noted there.

        One that is owned already begins anew: its log is another one now. Its records up to here count no more for
        what is committed.
        """
        ...

    def log_changed(self, name: TopicPartition, beginning: Beginning) -> None:
        """Records are gone before they were read, or the topic was made again; said before what follows from it."""
        ...

    def advanced(self, positions: Mapping[TopicPartition, int]) -> None:
        """All records below these offsets were handed on: behind the last of them is nothing that a reader sees."""
        ...

    def reading_on(self, name: TopicPartition, start: Start) -> None:
        """A partition that was held is read on: what comes of it from now on begins at the offset asked for."""
        ...

    def session(self, seconds: float) -> None:
        """The group waits this long for a silent member. Said once; before that nothing may be sent."""
        ...

    def counted(self, totals: Mapping[str, int]) -> None:
        """The number of partitions of each subscribed topic, as far as known; said at each answer of the brokers."""
        ...

    def records(self, batch: Sequence[Record]) -> None:
        """A batch, in log order for each partition. It used up one credit."""
        ...

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """These go at once; returns what to commit for them. The group waits for it, so it must be bounded in time."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are gone already, another member may own them: nothing of them may be committed."""
        ...

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        """The end of the log, as last heard, for partitions that are owned."""
        ...

    def trouble(self, trouble: KafkaFailure) -> None:
        """Something to say; the client continues by itself."""
        ...

    def failed(self, error: Exception) -> None:
        """The consumer cannot continue."""
        ...
