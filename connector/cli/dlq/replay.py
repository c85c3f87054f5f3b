"""Sends letters on their way again: chosen in one reading, judged by their source, written, and noted as it is done."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from connector.cli.dlq.judge import Judge, Judged
from connector.cli.dlq.listing import line, no_topic
from connector.cli.dlq.selection import Exclusion, Selection, exclusion
from connector.cli.dlq.source import SourceReader
from connector.cli.dlq.tally import Counters, sentence, table
from connector.decoding import EventReader
from connector.delivery.coalescer import Order
from connector.delivery.dead_letter import Stage
from connector.errors import ConnectorError
from connector.kafka.config import KafkaConfig
from connector.kafka.inspect.dead_letter_format import Letter, LetterPosition, ReplayMarker, ReplayState
from connector.kafka.inspect.dead_letter_topic import DeadLetterReader, DeadLetterReplay

BATCH = 100
"""Judged, written, acknowledged and noted together: after a crash at most this number is replayed twice."""

_FORCED = (
    "--force: each is written whole, as the newest event of its visitor, and the newest wins: what was delivered since "
    "it was rejected is overwritten in the attributes that both name."
)
_UNKNOWN = (
    "could not be checked: the source topic no longer holds the event (by retention, compaction, or because the topic "
    "was made again), so newer values may have been delivered since; --force replays them nevertheless"
)
_UNREADABLE = (
    "were sent to Target once and are refused by the settings of this command: are EVENT_*, the mapping and the Schema "
    "Registry those of the service? --force replays them nevertheless"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for beside the filters."""

    limit: int | None
    dry_run: bool
    from_beginning: bool
    yes: bool
    force: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How the service reads events."""

    events: EventReader
    order: Order


@dataclass(slots=True)
class Choice:
    """What one reading found."""

    places: set[LetterPosition] = field(default_factory=set)
    topics: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    left_out: Counter[Exclusion] = field(default_factory=Counter)


def replay(config: KafkaConfig, wanted: Selection, options: Options, rules: Rules) -> int:
    """Replay what is wanted; returns the exit code. Raises KafkaUnavailable."""
    log = DeadLetterReader(config)
    try:
        if log.missing:
            _say(no_topic(config), end="")
            return 0
        choice = choose(log, config, wanted, options)
        _tell(choice, options)
        if not choice.places:
            return 0
        if options.force:
            return _Replay(config, log, choice, options, None).run()
        judge = Judge(rules.events, rules.order)
        source = SourceReader(config, judge)
        try:
            return _Replay(config, log, choice, options, (judge, source)).run()
        finally:
            source.close()
    finally:
        log.close()


def choose(log: Iterable[Letter | ReplayMarker], config: KafkaConfig, wanted: Selection, options: Options) -> Choice:
    """Read all once: a marker of a replay comes after the letters that it names."""
    choice = Choice()
    fit: list[tuple[LetterPosition, str, str]] = []
    fates: dict[LetterPosition, ReplayState] = {}
    for found in log:
        if isinstance(found, ReplayMarker):
            fates.update(dict.fromkeys(found.places, found.fate))
        elif found in wanted:
            why = exclusion(found, wanted, config.topics)
            if why is None and found.source is not None:
                fit.append((found.place, found.source.topic, found.stage))
            elif why is not None:
                choice.left_out[why] += 1
    for place, topic, stage in fit:
        fate = None if options.from_beginning else fates.get(place)
        if fate is ReplayState.REPLAYED:
            choice.left_out[Exclusion.REPLAYED] += 1
        elif fate is ReplayState.SUPERSEDED and not options.force:
            choice.left_out[Exclusion.SUPERSEDED] += 1
        elif options.limit is None or len(choice.places) < options.limit:
            choice.places.add(place)
            choice.topics[topic] += 1
            choice.stages[stage] += 1
    return choice


class _Replay:
    """One run over the letters that were chosen."""

    def __init__(
        self,
        config: KafkaConfig,
        log: DeadLetterReader,
        choice: Choice,
        options: Options,
        check: tuple[Judge, SourceReader] | None,
    ) -> None:
        """Without a `check` all are sent as they are."""
        self._config = config
        self._log = log
        self._choice = choice
        self._options = options
        self._check = check
        self._tally = Counters()
        self._shortened = self._unknown = self._unreadable = 0

    def run(self) -> int:
        total = len(self._choice.places)
        try:
            if self._check is not None:
                judge, source = self._check
                judge.expect(self._letters(), self._choice.places.__contains__)
                _say("reading what came after them in their source partitions …")
                source.catch_up()
            if self._options.dry_run:
                self._preview()
                return 0
            if not (self._options.yes or _agreed(total)):
                return 0
            wrong = self._write()
        except ConnectorError as error:
            wrong = str(error)
        if wrong:
            done = self._tally.total[str(ReplayState.REPLAYED)]
            _say(f"{done} of {total} replayed, then: {wrong}. Run it again for the rest.")
            return 1
        self._sum_up()
        return 0

    def _letters(self) -> Iterator[Letter]:
        return (found for found in self._log if isinstance(found, Letter))

    def _chosen(self) -> Iterator[Letter]:
        return (letter for letter in self._letters() if letter.place in self._choice.places)

    def _preview(self) -> None:
        for letter in self._chosen():
            judged = self._judge([letter])
            for one, _ in judged.send:
                sys.stdout.write(line(one) + "\n")
            self._count(judged, {one.place for one, _ in judged.send})
        self._sum_up()

    def _write(self) -> str:
        """Returns what went wrong."""
        writing = DeadLetterReplay(self._config)
        for batch in batches(self._chosen(), _by_key if self._check is None else self._check[0].visitors):
            if self._check is not None:
                self._check[1].catch_up()  # Newer events may have come since, while a person read the question.
            judged = self._judge(batch)
            done, wrong = writing.write(judged.send)
            self._count(judged, done)
            writing.mark(ReplayState.REPLAYED, done)
            writing.mark(ReplayState.SUPERSEDED, [letter.place for letter in judged.superseded])
            if wrong:
                return wrong
        return ""

    def _judge(self, letters: list[Letter]) -> Judged:
        if self._check is not None:
            return self._check[0].judge(letters)
        return Judged(send=[(letter, [letter.as_it_came()]) for letter in letters])

    def _count(self, judged: Judged, done: set[LetterPosition]) -> None:
        for letter, _ in judged.send:
            self._tally.count(letter, ReplayState.REPLAYED if letter.place in done else None)
        for letter in judged.superseded:
            self._tally.count(letter, ReplayState.SUPERSEDED)
        for letter in (*judged.unknown, *judged.unreadable):
            self._tally.count(letter, None)
        self._shortened += judged.shortened
        self._unknown += len(judged.unknown)
        self._unreadable += len(judged.unreadable)

    def _sum_up(self) -> None:
        total = self._tally.total
        if self._shortened:
            _say(f"{self._shortened} without the attributes that newer events of their visitors have set.")
        if self._unknown:
            _say(f"left: {self._unknown} {_UNKNOWN}.")
        if self._unreadable:
            _say(f"left: {self._unreadable} {_UNREADABLE}.")
        verb = "would be replayed" if self._options.dry_run else "replayed"
        _say(f"{total[str(ReplayState.REPLAYED)]} of {len(self._choice.places)} {verb}.")
        _say(sentence(total, self._config.dead_letter_topic) + (", if it were run" if self._options.dry_run else ""))
        for row in table(self._tally):
            _say(row)


def batches(letters: Iterable[Letter], whose: Callable[[Letter], Sequence[object]]) -> Iterator[list[Letter]]:
    """Never two letters of one visitor in a batch; `whose` gives a letter's visitors, or what stands for them.

    A batch that fails in part is the last: so no older letter of a visitor is left for a later run, which would write
    it after a newer one.
    """
    batch: list[Letter] = []
    seen: set[object] = set()
    for letter in letters:
        visitors = whose(letter)
        if not seen.isdisjoint(visitors) or len(batch) == BATCH:
            yield batch
            batch, seen = [], set()
        batch.append(letter)
        seen.update(visitors)
    if batch:
        yield batch


def _by_key(letter: Letter) -> Sequence[object]:
    return [letter.key]


def _tell(choice: Choice, options: Options) -> None:
    """On stderr: stdout is for the letters."""
    for why, count in choice.left_out.items():
        _say(f"left out: {count} {why}")
    total = len(choice.places)
    topics = ", ".join(f"{count} to {topic}" for topic, count in sorted(choice.topics.items()))
    _say(f"{'would replay' if options.dry_run else 'to replay'}: {total}" + (f" ({topics})" if total else ""))
    if choice.stages[Stage.DECODE]:
        _say(
            f"{choice.stages[Stage.DECODE]} of them were refused by the decoder: the same bytes are refused again, "
            "unless the connector has been set or changed to take them since."
        )
    if total and options.force:
        _say(_FORCED)


def _agreed(total: int) -> bool:
    """Ask the person; off a terminal the command was refused before."""
    _say(f"Replay these {total}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
