"""Decides, when an update's turn comes, what of it has to be sent: a call is spent only on what Target lacks."""

from collections.abc import Mapping

from connector.delivery.accepted_values import AcceptedValues
from connector.delivery.counters import Done
from connector.delivery.update import Update


class Selection:
    """Leaves values out of a request, never out of the update: a retry, a newer value or a dead letter has them all."""

    __slots__ = ("_accepted", "_max_age")

    def __init__(self, accepted: AcceptedValues | None, max_age: float) -> None:
        """`accepted`: what Target has; None: nobody remembers. `max_age`: in seconds, 0: a value is never too old."""
        self._accepted = accepted
        self._max_age = max_age

    def of(self, update: Update, boottime: float, wall: float) -> tuple[Mapping[str, str], Done | None]:
        """The values to send; where there are none, how the update ends without a call.

        `wall` is the time in seconds since the epoch. The values are a copy: of an update of several requests, each
        that is accepted takes its own out of it.
        """
        attributes = dict(update.attributes)
        left_out: set[str] = set()
        if self._accepted is not None:
            left_out.update(self._accepted.unchanged(update.visitor, attributes, boottime))
        ended = Done.UNCHANGED
        if self._max_age and len(left_out) < len(attributes):
            left_out.update(update.older_than(wall - self._max_age))
            ended = Done.EXPIRED
        if not left_out:
            return attributes, None
        if len(left_out) == len(attributes):
            return {}, ended
        return {name: value for name, value in attributes.items() if name not in left_out}, None
