"""From tests to outcomes: the figure with its spread, its interval, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from claiming.evidence import Evidence, check_pairs, common_seeds, members, processors, select, values
from claiming.intervals import agreed, paired_interval, verdict_of
from claiming.plan import Agreement, Contrast
from claiming.points import counted


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one test: the figures in words, and the verdict, or ``not run``."""

    setting: str
    figures: str
    verdict: str


def judge(test: Contrast | Agreement, evidence: Sequence[Evidence]) -> Outcome:
    """Decide one test from the available runs.

    Raises:
        SecateurError: if runs that it compares cannot be paired.
    """
    return _judge_contrast(test, evidence) if isinstance(test, Contrast) else _judge_agreement(test, evidence)


def _judge_contrast(test: Contrast, evidence: Sequence[Evidence]) -> Outcome:
    sides = (test.more, test.less)
    available = common_seeds(evidence, sides)
    seeds = [seed for seed in available if not test.same_mask or _same_mask(members(evidence, sides, seed=seed))]
    if not seeds:
        reason = (
            "no seed has the same mask on both sides"
            if available
            else f"{test.more.name} compared with {test.less.name}"
        )
        return Outcome(setting=test.setting, figures=reason, verdict="undecided" if available else "not run")
    compared = [members(evidence, sides, seed=seed) for seed in seeds]
    pairs = [each for of_seed in compared for each in of_seed]
    check_pairs(pairs)
    things = counted(pairs[0].record, test.more)
    more_SQ, less_SQ = (values(evidence, side, seeds=seeds) for side in sides)
    interval = paired_interval(more_SQ - less_SQ)
    difference = float((more_SQ - less_SQ).mean())
    told = [
        f"{test.more.name} {_spread(more_SQ)}, {test.less.name} {_spread(less_SQ)}: "
        f"**{difference:+.1f}** [{interval.low:+.1f}, {interval.high:+.1f}]",
        f"{len(seeds)} seeds" if len(seeds) > 1 else f"one seed, over {things} only",
        f"{more_SQ.shape[1]:,} {things}",
    ]
    if test.margin:
        told.append(f"up to {test.margin:g} below counts as equal")
    if len(seeds) < len(available):
        told.append(f"{len(available) - len(seeds)} seeds with different masks left out")
    if apart := sum(len(processors(of_seed)) > 1 for of_seed in compared):
        told.append(f"{apart} of the seeds on different processors")
    return Outcome(setting=test.setting, figures="; ".join(told), verdict=verdict_of(interval, margin=test.margin))


def _judge_agreement(test: Agreement, evidence: Sequence[Evidence]) -> Outcome:
    found = [test.figure(each.record) for each in select(evidence, test.where)]
    figures = [figure for figure in found if figure is not None]
    if not figures:
        return Outcome(setting=test.setting, figures=test.name, verdict="not run")
    runs = f"{len(figures)} runs" if len(figures) > 1 else "one run"
    told = (
        f"{test.name}: **{np.mean(figures):+.2f}{test.unit}**, from {min(figures):+.2f} to {max(figures):+.2f}; {runs}"
    )
    return Outcome(setting=test.setting, figures=told, verdict=agreed(figures))


def _same_mask(evidence: Sequence[Evidence]) -> bool:
    """Whether all have the same number of heads and units left in every layer; records do not tell more."""
    structures = [each.record.compressed.structure for each in evidence if each.record.compressed]
    return all((each.heads, each.units) == (structures[0].heads, structures[0].units) for each in structures)


def _spread(values_SQ: NDArray[np.float64]) -> str:
    means_S = values_SQ.mean(1)
    return f"{means_S.mean():.1f}" + (f" ± {means_S.std(ddof=1):.1f}" if len(means_S) > 1 else "")
