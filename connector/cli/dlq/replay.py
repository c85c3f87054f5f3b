"""Sends letters on their way again: chosen in one reading of the topic, written in a second, noted as they are done."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from connector.cli.dlq.listing import line, no_topic
from connector.delivery.letter import Stage
from connector.kafka.config import KafkaConfig
from connector.kafka.letter_log import LetterLog, LetterReplay
from connector.kafka.letters import Letter, Note, Place, Unfit, Wanted, unfit

BATCH = 100
"""Written, acknowledged and noted together: after a crash at most so many are replayed twice."""

_OVERWRITES = (
    "Each is written as the newest event of its visitor, and the newest wins: what was delivered since it was rejected "
    "is overwritten in the attributes that both name."
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for beside the filters."""

    limit: int | None
    dry_run: bool
    from_beginning: bool
    yes: bool


@dataclass(slots=True)
class Choice:
    """What one reading found."""

    places: set[Place] = field(default_factory=set)
    topics: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    left_out: Counter[Unfit] = field(default_factory=Counter)


def replay(config: KafkaConfig, wanted: Wanted, options: Options) -> int:
    """Replay what is wanted; returns the exit code. Raises LettersUnavailable."""
    log = LetterLog(config)
    try:
        if log.missing:
            _say(no_topic(config), end="")
            return 0
        choice = choose(log, config, wanted, options)
        _tell(choice, dry_run=options.dry_run)
        if options.dry_run:
            for letter in _chosen(log, choice):
                sys.stdout.write(line(letter) + "\n")
            return 0
        if not choice.places or not (options.yes or _agreed(len(choice.places))):
            return 0
        return _write(config, _chosen(log, choice), len(choice.places))
    finally:
        log.close()


def choose(log: LetterLog, config: KafkaConfig, wanted: Wanted, options: Options) -> Choice:
    """Read all once: a note of a replay comes after the letters that it names."""
    choice = Choice()
    fit: list[tuple[Place, str, str]] = []
    replayed: set[Place] = set()
    for found in log:
        if isinstance(found, Note):
            replayed |= found.places
        elif found in wanted:
            why = unfit(found, wanted, config.topics)
            if why is None and found.source is not None:
                fit.append((found.place, found.source.topic, found.stage))
            elif why is not None:
                choice.left_out[why] += 1
    for place, topic, stage in fit:
        if place in replayed and not options.from_beginning:
            choice.left_out[Unfit.REPLAYED] += 1
        elif options.limit is None or len(choice.places) < options.limit:
            choice.places.add(place)
            choice.topics[topic] += 1
            choice.stages[stage] += 1
    return choice


def _write(config: KafkaConfig, letters: Iterator[Letter], total: int) -> int:
    writing = LetterReplay(config)
    written = 0
    for batch in batches(letters):
        done, wrong = writing.write(batch)
        if done:
            writing.note(done)
        written += len(done)
        if wrong:
            _say(f"{written} of {total} replayed, then: {wrong}. Run it again for the rest.")
            return 1
    _say(f"{written} of {total} replayed.")
    return 0


def batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Never two letters of one key in a batch.

    A batch that fails in part is the last: so no older letter of a visitor is left for a later run, which would write
    it after a newer one.
    """
    batch: list[Letter] = []
    keys: set[bytes | None] = set()
    for letter in letters:
        if letter.key in keys or len(batch) == BATCH:
            yield batch
            batch, keys = [], set()
        batch.append(letter)
        keys.add(letter.key)
    if batch:
        yield batch


def _chosen(log: LetterLog, choice: Choice) -> Iterator[Letter]:
    return (found for found in log if isinstance(found, Letter) and found.place in choice.places)


def _tell(choice: Choice, *, dry_run: bool) -> None:
    """On stderr: stdout is for the letters."""
    for why, count in choice.left_out.items():
        _say(f"left out: {count} {why}")
    total = len(choice.places)
    topics = ", ".join(f"{count} to {topic}" for topic, count in sorted(choice.topics.items()))
    _say(f"{'would replay' if dry_run else 'to replay'}: {total}" + (f" ({topics})" if total else ""))
    if choice.stages[Stage.DECODE]:
        _say(
            f"{choice.stages[Stage.DECODE]} of them were refused by the decoder: the same bytes are refused again, "
            "unless the connector has been set or mended to take them since."
        )
    if total:
        _say(_OVERWRITES)


def _agreed(total: int) -> bool:
    """Ask the person, if there is one."""
    if not sys.stdin.isatty():
        return True
    _say(f"Replay these {total}? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
