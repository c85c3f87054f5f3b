"""How many visitors a topic has, without remembering them."""

import pytest

from connector.events.change import Visitor
from connector.plan.distinct import Distinct


@pytest.mark.parametrize("number", [0, 1, 1_000, 200_000])
def test_the_count_is_right_within_a_percent(number: int) -> None:
    """Each comes twice; a set of millions of ids would be most of the command's memory."""
    distinct = Distinct()
    for _ in range(2):
        for visitor in range(number):
            distinct.see(Visitor("mbox3rdPartyId", f"customer-{visitor:09}"))
    assert abs(distinct.count() - number) <= 0.01 * number
