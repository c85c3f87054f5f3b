"""Checks each commit when it takes effect, so that a loss shows where it happens and not at the end."""

import json

from connector.delivery.dead_letter import Stage
from connector.delivery.offset_tracker import TopicPartition
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender

P0 = TopicPartition("t", 0)
P1 = TopicPartition("t", 1)


class Judge:
    """Every record below a commit is at the endpoint or a dead letter; a commit never goes back or past the end.

    For logs whose values are numbers that grow with each event, so that "this or a newer one" is a comparison.
    """

    def __init__(self, log: FakeLog, sender: FakeSender, letters: FakeDeadLetters | None = None) -> None:
        self._log = log
        self._sender = sender
        self._letters = letters or FakeDeadLetters()
        log.on_commit = self._look

    def _look(self, name: TopicPartition, offset: int) -> None:
        before = self._log.committed.get(name, 0)
        assert offset >= before, f"the commit of {name} went back from {before} to {offset}"
        assert offset <= len(self._log.records[name]), f"{name} was committed past its end"
        for record in self._log.records[name][before:offset]:
            if not self._is_done(name, record.offset(), record.value()):
                msg = f"{name} was committed at {offset}, and its record {record.offset()} is not done"
                raise AssertionError(msg)

    def _is_done(self, name: TopicPartition, offset: int, value: bytes | None) -> bool:
        if value is None:
            return True
        fields = json.loads(value)
        visitor, wanted = fields["mbox3rdPartyId"], fields["profile"]
        return _holds(self._sender.profiles.get(visitor, {}), wanted) or self._is_buried(name, offset, visitor, wanted)

    def _is_buried(self, name: TopicPartition, offset: int, visitor: str, wanted: dict[str, int]) -> bool:
        """By its own letter, or within a merged one; some of its values may be at the endpoint too."""
        known = dict(self._sender.profiles.get(visitor, {}))
        for letter in self._letters.letters:
            if letter.source == name and letter.offset == offset:
                return True
            if letter.stage is Stage.TARGET and letter.key == visitor.encode():
                known.update(json.loads(letter.value or b"")["profile"])
        return _holds(known, wanted)


def _holds(known: dict[str, str], wanted: dict[str, int]) -> bool:
    return all(int(known.get(attribute, -1)) >= number for attribute, number in wanted.items())
