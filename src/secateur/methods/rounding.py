"""How many a fraction is: the smallest whole number that is not below the request."""

from __future__ import annotations

import math

BINARY_NOISE = 1e-6
"""0.07 · 100 is a little above 7 in binary; what is asked for is 7 all the same."""


def rounded_up(fraction: float, count: int) -> int:
    """The smallest whole number that is not below ``fraction`` of ``count``."""
    return math.ceil(fraction * count - BINARY_NOISE)
