"""Converting fractions to counts: rounding up, with tolerance for binary noise."""

from __future__ import annotations

import math

BINARY_NOISE = 1e-6
"""0.07 · 100 is slightly above 7 in binary, but 7 is what was requested."""


def rounded_up(fraction: float, count: int) -> int:
    """``fraction`` of ``count``, rounded up to a whole number."""
    return math.ceil(fraction * count - BINARY_NOISE)
