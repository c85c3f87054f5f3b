"""Decides when the next update may go, and of which classes: pure, by what waits and by the gate."""

from connector.admission.gate import Gate
from connector.delivery.coalescer import Coalescer
from connector.events.change import Priority


def next_turn(coalescer: Coalescer, gate: Gate, now: float, boottime: float) -> tuple[float, Priority]:
    """Return in how many seconds an update may go, and the lowest class of which it may be then.

    0 or less: now; infinite: not before something changes. An update of class high does not wait for the pace at which
    the rest of the quota is spread, so it may be its turn before that of the others.
    """
    wait = max(coalescer.due_in(now, gate.lowest), gate.wait(now, boottime))
    if wait > 0 and coalescer.has_classes:
        ahead = max(coalescer.due_in(now, Priority.HIGH), gate.wait_ahead(now, boottime))
        if ahead < wait:
            return ahead, Priority.HIGH
    return wait, gate.lowest
