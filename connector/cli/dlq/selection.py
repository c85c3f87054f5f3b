"""Which letters a command is asked for, and why one of them is not replayed: in words that name the flags."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from connector.delivery.dead_letter import Stage
from connector.kafka.inspect.dead_letter_format import Letter


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are asked for; None: any. Times are milliseconds since the epoch, `until` is not included."""

    stage: str | None = None
    topic: str | None = None
    error: str | None = None
    since: int | None = None
    until: int | None = None

    def __contains__(self, letter: Letter) -> bool:
        return (
            (self.stage is None or letter.stage == self.stage)
            and (self.topic is None or (letter.source is not None and letter.source.topic == self.topic))
            and (self.error is None or letter.error == self.error)
            and (self.since is None or letter.milliseconds >= self.since)
            and (self.until is None or letter.milliseconds < self.until)
        )


class Exclusion(enum.StrEnum):
    """Why a letter that is asked for is not replayed, in words that follow its number."""

    REPLAYED = "replayed before (--from-beginning replays them again)"
    SUPERSEDED = "superseded by newer events, as a replay before found (--force replays them)"
    REFUSED = "refused by the decoder, which would refuse the same bytes again (--stage VALUE_CONVERTER replays them)"
    CUT = "cut to fit their topic: the end is missing"
    ELSEWHERE = "from a topic that is not in KAFKA_TOPICS (--topic names it)"
    EMPTY = "without a value or without a source"


def exclusion(letter: Letter, wanted: Selection, topics: Iterable[str]) -> Exclusion | None:
    """Why not to replay this one, whatever was replayed before; None when there is no reason."""
    if letter.source is None or letter.value is None:
        return Exclusion.EMPTY
    if letter.cut_from is not None:
        return Exclusion.CUT
    if letter.source.topic not in topics and wanted.topic is None:
        return Exclusion.ELSEWHERE
    if letter.stage == Stage.DECODE and wanted.stage is None:
        return Exclusion.REFUSED
    return None
