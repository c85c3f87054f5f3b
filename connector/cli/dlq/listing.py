"""How letters are shown: where each came from and why it is there, and nobody's data unless it is asked for."""

import json
import sys
from collections import Counter
from dataclasses import dataclass

from connector.cli.dlq.selection import Selection
from connector.cli.dlq.tally import LEFT, Counters, sentence, table
from connector.cli.moments import utc_text
from connector.cli.terminal import printable
from connector.kafka.config import KafkaConfig
from connector.kafka.inspect.dead_letter_format import Letter, LetterPosition, ReplayMarker, ReplayState
from connector.kafka.inspect.dead_letter_topic import DeadLetterReader

HEADER = "PLACE  TIME  SOURCE  STAGE  CLASS  SIZE  STATE  REASON"
"""The columns of `line`; two blanks between, as there."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How the list is wanted."""

    limit: int | None = None
    as_json: bool = False
    values: bool = False
    by_reason: bool = False


def list_letters(config: KafkaConfig, wanted: Selection, shown: Shown) -> int:
    """Print the letters that are wanted; returns the exit code. Raises KafkaUnavailable."""
    log = DeadLetterReader(config)
    try:
        fates = _fates(log)
        tally, lines = Counters(), 0
        for found in log:
            if isinstance(found, Letter) and found in wanted:
                fate = fates.get(found.place)
                tally.count(found, fate)
                if not shown.by_reason and (shown.limit is None or lines < shown.limit):
                    if not lines and not shown.as_json:
                        sys.stdout.write(HEADER + "\n")
                    lines += 1
                    sys.stdout.write(_written(found, fate, shown) + "\n")
    finally:
        log.close()
    if log.missing:
        sys.stderr.write(no_topic(config))
    elif shown.by_reason:
        _print_reasons(config, tally, shown)
    elif not shown.as_json:
        rest = "" if lines == tally.total.total() else f"; the first {lines} are shown"
        sys.stderr.write(sentence(tally.total, config.dead_letter_topic) + rest + "\n")
        for row in table(tally):
            sys.stderr.write(row + "\n")
    return 0


def _fates(log: DeadLetterReader) -> dict[LetterPosition, ReplayState]:
    """Read all: markers come after the letters that they name."""
    fates: dict[LetterPosition, ReplayState] = {}
    for found in log:
        if isinstance(found, ReplayMarker):
            fates.update(dict.fromkeys(found.places, found.fate))
    return fates


def no_topic(config: KafkaConfig) -> str:
    """A name that was misspelt must not look like a service without dead letters."""
    return (
        f"the topic {config.dead_letter_topic} does not exist, so there are no dead letters; `connector run` makes it "
        "when it starts: has it, and with the same KAFKA_DEAD_LETTER_TOPIC and KAFKA_GROUP_ID?\n"
    )


def _print_reasons(config: KafkaConfig, tally: Counters, shown: Shown) -> None:
    if not shown.as_json:
        for row in table(tally, most=shown.limit):
            sys.stdout.write(row + "\n")
        sys.stderr.write(sentence(tally.total, config.dead_letter_topic) + "\n")
        return
    for (error, reason), counts in tally.rows()[: shown.limit]:
        sys.stdout.write(json.dumps({"error": error, "reason": reason, **_by_fate(counts)}) + "\n")


def _by_fate(counts: Counter[str]) -> dict[str, int]:
    return {"letters": counts.total(), **{name: counts[name] for name in (*map(str, ReplayState), LEFT)}}


def _written(letter: Letter, fate: ReplayState | None, shown: Shown) -> str:
    if shown.as_json:
        return json.dumps(fields(letter, fate=fate, values=shown.values))
    return line(letter, fate=fate) + (shown_values(letter) if shown.values else "")


def line(letter: Letter, *, fate: ReplayState | None = None) -> str:
    """One line: place, time, source, stage, class, size, what became of it, reason."""
    source = "?" if letter.source is None else f"{letter.source.topic}/{letter.source.partition}/{letter.source_offset}"
    if letter.item is not None:
        source += f"[{letter.item}]"
    words = [
        f"{letter.partition}/{letter.offset}",
        utc_text(letter.milliseconds),
        source,
        letter.stage or "?",
        letter.error or "?",
        f"{len(letter.value or b'')} B",
        f"cut from {letter.cut_from} B" if letter.cut_from is not None else "",
        LEFT if fate is None else str(fate),
    ]
    return printable("  ".join(word for word in words if word) + f"  {letter.reason}")


def fields(letter: Letter, *, fate: ReplayState | None = None, values: bool) -> dict[str, object]:
    """The same for programs."""
    source = letter.source
    said: dict[str, object] = {
        "partition": letter.partition,
        "offset": letter.offset,
        "time": None if letter.milliseconds == -1 else utc_text(letter.milliseconds),
        "source_topic": None if source is None else source.topic,
        "source_partition": None if source is None else source.partition,
        "source_offset": letter.source_offset,
        "item": letter.item,
        "stage": letter.stage,
        "error": letter.error,
        "reason": letter.reason,
        "bytes": len(letter.value or b""),
        "made": letter.is_made,
        "cut_from_bytes": letter.cut_from,
        "replayed": fate is ReplayState.REPLAYED,
        "superseded": fate is ReplayState.SUPERSEDED,
    }
    if not values:
        return said
    headers = [[name, _text(value)] for name, value in letter.headers]
    return said | {"key": _text(letter.key), "value": _text(letter.value), "headers": headers}


def shown_values(letter: Letter) -> str:
    """Key, value and headers on lines of their own."""
    shown = f"\n  key:   {printable(_text(letter.key) or '')}\n  value: {printable(_text(letter.value) or '')}"
    return shown + "".join(f"\n  header {printable(f'{name}: {_text(value)}')}" for name, value in letter.headers)


def _text(blob: bytes | None) -> str | None:
    return None if blob is None else blob.decode(errors="backslashreplace")
