"""Is a difference real? Bootstrap intervals over seeds and questions, and the verdicts that follow from them.

Shapes: S seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["holds", "contradicted", "undecided"]

RESAMPLES = 2000
SEED = 20191014  # any fixed number: the same records give the same page
FEWEST = 3  # runs that have to agree


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def paired_interval(difference_SQ: NDArray[np.float64]) -> Interval:
    """The percentile bootstrap interval of the mean difference.

    Seeds and questions are drawn anew, each with replacement and apart from one another, since every seed answers
    the same questions. With one seed, questions alone are drawn. Three seeds spread a little less when drawn anew
    than seeds do in truth.

    Args:
        difference_SQ: (S, Q), of the two sides on the same seed and question.
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
    """What an interval says of a claim that the difference is above 0, or no more than ``margin`` below."""
    if interval.low > -margin:
        return "holds"
    return "contradicted" if interval.high < -margin else "undecided"


def agreed(figures: Sequence[float]) -> Verdict:
    """What figures that runs have only once say of a claim that they are above 0.

    There is nothing to resample but the runs, and of three or five no interval is worth its name: they have to be
    three at least, and all on one side.
    """
    if len(figures) < FEWEST:
        return "undecided"
    return verdict_of(Interval(min(figures), max(figures)))
