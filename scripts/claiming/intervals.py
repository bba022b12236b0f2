"""Bootstrap intervals of differences over seeds and questions, and the verdicts that follow from them.

Shapes: S seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["holds", "contradicted", "undecided"]

RESAMPLES = 2000
SEED = 20191014  # fixed, so that the same records give the same page
FEWEST = 3  # number of runs that must agree


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def paired_interval(difference_SQ: NDArray[np.float64]) -> Interval:
    """The percentile bootstrap interval of the mean difference.

    Seeds and questions are resampled independently, each with replacement, since every seed answers the same questions.
    With one seed, only questions are resampled. Resampling three seeds slightly underestimates the spread over seeds.

    Args:
        difference_SQ: (S, Q), between the two sides on the same seed and question.
    """
    seeds, questions = difference_SQ.shape
    generator = np.random.default_rng(SEED)
    means = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        of_seeds_Q = difference_SQ[generator.integers(seeds, size=seeds)].mean(0)
        means[index] = of_seeds_Q[generator.integers(questions, size=questions)].mean()
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(low), float(high))


def verdict_of(interval: Interval, *, margin: float = 0.0) -> Verdict:
    """The verdict on the claim that the difference is above 0, or at most ``margin`` below."""
    if interval.low > -margin:
        return "holds"
    return "contradicted" if interval.high < -margin else "undecided"


def agreed(figures: Sequence[float]) -> Verdict:
    """The verdict on the claim that figures, of which each run has one, are above 0.

    Only the runs could be resampled, and three or five of them are too few for an interval. So at least three are
    needed, and all must be on the same side.
    """
    if len(figures) < FEWEST:
        return "undecided"
    return verdict_of(Interval(min(figures), max(figures)))
