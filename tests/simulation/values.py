"""What the endpoint's values say of the events, where values come again and topics share a visitor.

Each event has a serial number; its value is the number of the first event that had the same one. Visitors of two topics
have the same attributes in both: in the truth `a@t` and `a@u` are attributes of their own, each with an order; at the
endpoint they are one.
"""

import math

Key = tuple[str, str]
"""A visitor and an attribute."""


class Values:
    """Knows which event each value is of, and which value the endpoint has since when."""

    def __init__(self) -> None:
        self._values: dict[int, int] = {}
        self._topics: dict[int, str] = {}
        self._history: dict[Key, list[int]] = {}
        self._appended: dict[int, float] = {}
        self._taken: dict[int, float] = {}
        self._current: dict[Key, tuple[Key, int, float]] = {}
        """By visitor and attribute as the endpoint knows it: whose value it is, of which event, and since when."""

    def appended(self, key: Key, serial: int, now: float) -> None:
        """An event with this value is in the log."""
        self._history.setdefault(key, []).append(serial)
        self._topics[serial] = key[1][len(at_endpoint(key)[1]) :]
        self._appended[serial] = now

    def repeat(self, serial: int, value: int) -> None:
        """An event has the value of an earlier one."""
        self._values[serial] = value

    def taken(self, serial: int, now: float) -> None:
        """A replica has read the event."""
        self._taken[serial] = now

    def applied(self, key: Key, serial: int, now: float) -> None:
        """The endpoint has the value of this event."""
        self._current[at_endpoint(key)] = key, serial, now

    def of(self, serial: int) -> int:
        """The value of an event."""
        return self._values.get(serial, serial)

    def key(self, visitor: str, attribute: str, value: int) -> Key:
        """Whose value it is that a request carries."""
        return visitor, attribute + self._topics.get(value, "")

    def events(self, key: Key, value: int) -> list[int]:
        """The events that have this value, the last one first."""
        return [serial for serial in reversed(self._history.get(key, ())) if self.of(serial) == value]

    def recent(self, key: Key) -> list[int]:
        """The last values of an attribute."""
        return [*dict.fromkeys(self.of(serial) for serial in self._history.get(key, ())[-4:])]

    def has(self, key: Key, serial: int) -> bool:
        """Whether what the endpoint has now is this event's value, or that of an event after it.

        After it: later in its partition, or of another topic, and applied or read since this event was appended. For
        that an update was merged in the order in which its records were read.
        """
        found = self._current.get(at_endpoint(key))
        if found is None:
            return False
        whose, its, since = found
        same = self.events(whose, self.of(its))
        if whose == key:
            return any(later >= serial for later in same)
        since = max(since, max((self._taken.get(other, -math.inf) for other in same), default=since))
        return since >= self._appended[serial]

    def may_be_replaced(self, key: Key, serial: int) -> bool:
        """Whether an event of another topic was read after it, so that an update has that one's value and not this.

        It is owed by its own partition then, and may be handed over.
        """
        others = (its for its in self._history if its != key and at_endpoint(its) == at_endpoint(key))
        since = self._appended[serial]
        return any(self._taken.get(other, -math.inf) >= since for its in others for other in self._history[its])


def at_endpoint(key: Key) -> Key:
    """The visitor and the attribute as the endpoint knows it."""
    return key[0], key[1].partition("@")[0]
