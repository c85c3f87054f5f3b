"""What becomes of letters by what their source partitions hold: pure, but for a schema that reading waits for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connector.cli.dlq.newest import Newest
from connector.decoding import EventReader
from connector.delivery.coalescer import Order
from connector.delivery.dead_letter import Stage
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.ports import Record
from connector.events import Change, Refused
from connector.kafka.inspect.dead_letter_format import Letter, LetterPosition, Repeat, made_of
from connector.mapping import Item, Skip

Resend = tuple[Letter, Sequence[Repeat]]
"""A letter and what is written for it."""


@dataclass(slots=True)
class Judged:
    """What becomes of some letters."""

    send: list[Resend] = field(default_factory=list)
    """As they came, or what of them is still the newest."""
    shortened: int = 0
    """Of those to send, how many lost an attribute."""
    superseded: list[Letter] = field(default_factory=list)
    unknown: list[Letter] = field(default_factory=list)
    """What came after these cannot be known."""
    unreadable: list[Letter] = field(default_factory=list)
    """Target was sent these, and by the settings of now they are refused."""


class Judge:
    """Reads letters and records as the service would: by the mapping of now, every change that they carry.

    Reading raises SchemaUnavailable where a schema is needed and the registry does not say.
    """

    def __init__(self, events: EventReader, order: Order) -> None:
        self._events = events
        self._newest = Newest(order)
        self._written: dict[tuple[TopicPartition, int], int] = {}
        """When the letters' own records were written, which a mapping may read; true once they are read."""

    @property
    def starts(self) -> Mapping[TopicPartition, int]:
        """From which offset on each source partition has to be read."""
        return self._newest.starts

    def expect(self, letters: Iterable[Letter], chosen: Callable[[LetterPosition], bool]) -> None:
        """The letters that are `chosen` will be judged; the others are events of their visitors nevertheless."""
        for letter in letters:
            source, offset = letter.source, letter.source_offset
            if source is None or offset is None or letter.cut_from is not None:
                continue
            for change in _changes(self._items_of(letter)):
                if chosen(letter.place):
                    self._newest.expect(source, offset, change)
                    self._written.setdefault((source, offset), letter.milliseconds)
                self._newest.dead_lettered(source, offset, change)

    def read(self, source: TopicPartition, record: Record, *, repeat: bool) -> None:
        """The source log holds this; called in the order of the log. A `repeat` is what a replay wrote."""
        offset, when = record.offset(), record.timestamp()[1]
        if (source, offset) in self._written:
            self._written[source, offset] = when
        for change in _changes(self._items(record)):
            self._newest.read(source, offset, when, change, repeat=repeat)

    def judge(self, letters: Iterable[Letter]) -> Judged:
        """By what was read so far."""
        judged = Judged()
        for letter in letters:
            if letter.source is None or letter.source_offset is None:
                judged.unknown.append(letter)
            else:
                self._judge(letter, letter.source, letter.source_offset, judged)
        return judged

    def visitors(self, letter: Letter) -> Sequence[object]:
        """Whose letter it is: its visitors, or its key where it names none that can be read."""
        return [change.visitor for change in _changes(self._items_of(letter))] or [letter.key]

    def _judge(self, letter: Letter, source: TopicPartition, offset: int, judged: Judged) -> None:
        items = self._items_of(letter)
        refused = [at for at, item in enumerate(items) if isinstance(item, Refused)]
        found = [(change, self._newest.judge(source, offset, change)) for change in _changes(items)]
        if refused and letter.stage != Stage.DECODE:
            judged.unreadable.append(letter)
        elif any(judgement.unknown for _, judgement in found):
            judged.unknown.append(letter)
        elif not any(judgement.superseded for _, judgement in found):
            # Also one that sets nothing: the service refuses it again, or skips it.
            judged.send.append((letter, [letter.as_it_came()]))
        else:
            left = [made_of(change, judgement.send) for change, judgement in found if judgement.send]
            left += [letter.as_it_came(item=at) for at in refused]
            if left:
                judged.shortened += 1
                judged.send.append((letter, left))
            else:
                judged.superseded.append(letter)

    def _items_of(self, letter: Letter) -> Sequence[Item]:
        written = letter.milliseconds
        if letter.source is not None and letter.source_offset is not None:
            written = self._written.get((letter.source, letter.source_offset), written)
        return self._items(letter.record(written))

    def _items(self, record: Record) -> Sequence[Item]:
        """What a record asks for; a refusal of the whole is one of its only item, and a tombstone has none."""
        try:
            outcome = self._events(record)
        except Refused as refused:
            return (refused,)
        if outcome is None or isinstance(outcome, Skip):
            return ()
        return outcome.items


def _changes(items: Sequence[Item]) -> Iterator[Change]:
    """Those that set something."""
    return (item for item in items if isinstance(item, Change) and item.attributes)
