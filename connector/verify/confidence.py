"""How large a share may be when some of a sample show it: the exact bounds of Clopper and Pearson.

With none of n it is 1 - 0.05^(1/n) at 95 %, which is about 3/n, the rule of three: none of 300 says "below 1 %".
"""

import math
from typing import Final

STEPS: Final = 60
"""Halvings of the interval: more than a double can tell apart."""


def upper(count: int, of: int, confidence: float = 0.95) -> float:
    """The largest share under which `count` or fewer would still be seen in 1 - confidence of all samples."""
    if count >= of:
        return 1.0
    low, high = count / of, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if at_most(count, of, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower(count: int, of: int, confidence: float = 0.95) -> float:
    """The smallest share under which `count` or more would still be seen in 1 - confidence of all samples."""
    return 1.0 - upper(of - count, of, confidence) if count else 0.0


def at_most(count: int, of: int, share: float) -> float:
    """The probability of at most `count` of `of`, where each shows it with this probability."""
    if share <= 0.0 or share >= 1.0:
        return 1.0 if share <= 0.0 else 0.0
    some, none = math.log(share), math.log1p(-share)
    whole = math.lgamma(of + 1)
    terms = (
        whole - math.lgamma(each + 1) - math.lgamma(of - each + 1) + each * some + (of - each) * none
        for each in range(count + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
