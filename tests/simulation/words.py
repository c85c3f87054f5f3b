"""A commit's metadata against the truth: no unsettled record is called done, and each one settled long before is."""

from collections.abc import Callable

from connector.delivery.offset_tracker import OffsetAndMetadata
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Fact, Stay, Truth, Word


class Words:
    """Invariants 1 and 7, as far as they concern commits."""

    def __init__(
        self, timeline: Timeline, truth: Truth, is_certain: Callable[[str], bool], wrong: Callable[[str], None]
    ) -> None:
        """`is_certain`: whether an accepted answer says that a visitor's values are done."""
        self._timeline = timeline
        self._truth = truth
        self._is_certain = is_certain
        self._wrong = wrong
        self.are_short = False
        """Whether the broker takes less metadata than a commit needs."""

    def judge(self, member: str, stay: Stay, where: OffsetAndMetadata) -> None:
        """A replica requests this commit."""
        if stay.version != self._truth.logs[stay.name].version:
            return  # It is about another log, and says so.
        word = Word.of(where)
        if (lost := self._truth.lost_by(stay.name, word)) is not None:
            self._wrong(f"lost: {member} commits {stay.name.partition} {where} and {lost} is not done")
        if self.are_short:
            return
        # The same metadata in the same state needs no second check.
        state = (where, stay.changes)
        if stay.judged == state:
            return
        stay.judged = state
        self._is_complete(member, stay, word)

    def _is_complete(self, member: str, stay: Stay, word: Word) -> None:
        """Each record that was done by then is called done."""
        now = self._timeline.now
        facts, name = self._truth.facts[stay.name], stay.name
        held: set[str] = set()
        for offset in range(min(stay.start.offset, word.offset), min(len(facts), max(stay.taken, stay.start.until))):
            done: list[Fact] = []
            for place, fact in enumerate(facts[offset]):
                if not (fact.visitor or fact.malformed):
                    continue  # What is skipped may be read again: nothing is sent for it.
                before = stay.start.calls_done(offset, self._truth.prints[fact.visitor], fact.epoch)
                if not before and offset >= stay.taken:
                    continue
                if before or self._is_settled(stay, offset, place, fact, now):
                    done.append(fact)
                else:
                    held.add(fact.visitor)
            for fact in done:
                is_called_done = word.calls_done(offset, self._truth.prints[fact.visitor], fact.epoch)
                if not is_called_done and fact.visitor not in held:
                    self._wrong(
                        f"{member} commits {name.partition} {word.offset}/{word.until}: {offset} was done long before"
                    )

    def _is_settled(self, stay: Stay, offset: int, place: int, fact: Fact, now: float) -> bool:
        if fact.malformed:
            return stay.letters.get((offset, place), now) < now
        return self._is_accepted(stay, fact, now)

    def _is_accepted(self, stay: Stay, fact: Fact, now: float) -> bool:
        if not self._is_certain(fact.visitor):
            return False
        for attribute, serial in fact.serials.items():
            if stay.gone.get(serial, now) < now:
                continue
            newest = stay.accepted.get((fact.visitor, attribute))
            if newest is None or newest[0] < serial or newest[1] >= now:
                return False
        return True
