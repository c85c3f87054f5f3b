"""How letters are shown: where each came from and why it is there, and nobody's data unless it is asked for."""

import json
import sys
from datetime import UTC, datetime

from connector.cli.terminal import printable
from connector.kafka.config import KafkaConfig
from connector.kafka.letter_log import LetterLog
from connector.kafka.letters import Letter, Note, Place, Wanted


def list_letters(config: KafkaConfig, wanted: Wanted, limit: int | None, *, as_json: bool, values: bool) -> int:
    """Print the letters that are wanted; returns the exit code. Raises LettersUnavailable."""
    log = LetterLog(config)
    try:
        # Notes come after the letters that they name.
        replayed: set[Place] = set()
        for found in log:
            if isinstance(found, Note):
                replayed |= found.places
        shown = 0
        for found in log:
            if limit is not None and shown >= limit:
                break
            if isinstance(found, Letter) and found in wanted:
                shown += 1
                was = found.place in replayed
                if as_json:
                    sys.stdout.write(json.dumps(fields(found, replayed=was, values=values)) + "\n")
                else:
                    sys.stdout.write(line(found, replayed=was) + (shown_values(found) if values else "") + "\n")
    finally:
        log.close()
    if log.missing:
        sys.stderr.write(no_topic(config))
    elif not as_json:
        sys.stderr.write(f"{shown} dead letters shown, of {config.dead_letter_topic}\n")
    return 0


def no_topic(config: KafkaConfig) -> str:
    """A name that was misspelt must not look like a service without dead letters."""
    return (
        f"the topic {config.dead_letter_topic} does not exist, so there are no dead letters; `connector run` makes it "
        "when it starts: has it, and with the same KAFKA_DEAD_LETTER_TOPIC and KAFKA_GROUP_ID?\n"
    )


def line(letter: Letter, *, replayed: bool = False) -> str:
    """One line: place, time, source, stage, class, size, reason."""
    source = "?" if letter.source is None else f"{letter.source.topic}/{letter.source.partition}/{letter.source_offset}"
    words = [
        f"{letter.partition}/{letter.offset}",
        _time(letter),
        source,
        letter.stage or "?",
        letter.error or "?",
        f"{len(letter.value or b'')} B",
        f"cut from {letter.cut_from} B" if letter.cut_from is not None else "",
        "replayed" if replayed else "",
    ]
    return printable("  ".join(word for word in words if word) + f"  {letter.reason}")


def fields(letter: Letter, *, replayed: bool, values: bool) -> dict[str, object]:
    """The same for programs."""
    source = letter.source
    said: dict[str, object] = {
        "partition": letter.partition,
        "offset": letter.offset,
        "time": _time(letter),
        "source_topic": None if source is None else source.topic,
        "source_partition": None if source is None else source.partition,
        "source_offset": letter.source_offset,
        "stage": letter.stage,
        "error": letter.error,
        "reason": letter.reason,
        "bytes": len(letter.value or b""),
        "cut_from_bytes": letter.cut_from,
        "replayed": replayed,
    }
    return said | {"key": _text(letter.key), "value": _text(letter.value)} if values else said


def shown_values(letter: Letter) -> str:
    """Key and value on lines of their own."""
    return f"\n  key:   {printable(_text(letter.key) or '')}\n  value: {printable(_text(letter.value) or '')}"


def _time(letter: Letter) -> str:
    return datetime.fromtimestamp(letter.milliseconds / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(blob: bytes | None) -> str | None:
    return None if blob is None else blob.decode(errors="backslashreplace")
