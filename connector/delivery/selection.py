"""Decides, when an update's turn comes, what of it has to be sent: a call is spent only on what Target lacks."""

from collections.abc import Mapping

from connector.delivery.accepted_values import AcceptedValues
from connector.delivery.counters import Done
from connector.delivery.update import Update


class Selection:
    """Leaves values out of a request, never out of the update: a retry, a newer value or a dead letter has them all."""

    __slots__ = ("_accepted",)

    def __init__(self, accepted: AcceptedValues) -> None:
        self._accepted = accepted

    def of(self, update: Update, boottime: float) -> tuple[Mapping[str, str], Done | None]:
        """The values to send; where there are none, how the update ends without a call.

        They are a copy: of an update of several requests, each that is accepted takes its own out of it.
        """
        attributes = dict(update.attributes)
        unchanged = self._accepted.unchanged(update.visitor, attributes, boottime)
        if not unchanged:
            return attributes, None
        if len(unchanged) == len(attributes):
            return {}, Done.UNCHANGED
        left_out = set(unchanged)
        return {name: value for name, value in attributes.items() if name not in left_out}, None
