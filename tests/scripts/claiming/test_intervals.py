"""Intervals and verdicts, on made-up scores whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.scripts.claiming.runs import contrast, run, scores


def test_a_paired_interval_has_the_width_that_the_theory_says() -> None:
    """One seed, 400 normal differences of deviation 10: ± 1.96 · 10 / √400 around their mean."""
    from claiming.intervals import paired_interval

    difference_SQ = scores(3.0, spread=10.0)[None]
    low, high = paired_interval(difference_SQ)
    assert (low + high) / 2 == pytest.approx(difference_SQ.mean(), abs=0.1)
    assert high - low == pytest.approx(2 * 1.96 * 10 / 20, rel=0.1)


def test_pairing_takes_out_what_makes_questions_differ() -> None:
    """Questions spread by 30 points, the two models on one question by 5; drawn apart, the effect of 2 is lost."""
    from claiming.intervals import paired_interval, verdict_of

    question_Q, noise_Q = scores(50.0), scores(2.0, spread=5.0, seed=1)
    paired = paired_interval((question_Q + noise_Q - question_Q)[None])
    shuffled_Q = np.random.default_rng(2).permutation(question_Q)
    unpaired = paired_interval((question_Q + noise_Q - shuffled_Q)[None])
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 4
    assert verdict_of(paired) == "holds"
    assert verdict_of(unpaired) == "undecided"


def test_seeds_that_disagree_widen_the_interval() -> None:
    """Resampling the questions of all seeds together would take them for certain."""
    from claiming.intervals import paired_interval, verdict_of

    calm_SQ = np.stack([scores(1.0, spread=1.0, seed=seed) for seed in range(3)])
    torn_SQ = calm_SQ + np.array([[-8.0], [0.0], [8.0]])
    assert verdict_of(paired_interval(calm_SQ)) == "holds"
    assert verdict_of(paired_interval(torn_SQ)) == "undecided"


def test_the_same_scores_give_the_same_interval() -> None:
    from claiming.intervals import paired_interval

    assert paired_interval(scores(1.0)[None]) == paired_interval(scores(1.0)[None])


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(5.0, "holds"), (0.0, "undecided"), (-5.0, "contradicted")],
    ids=["clear", "none", "opposite"],
)
def test_the_verdict_follows_the_interval(effect: float, verdict: str, tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    base = scores(50.0)
    for seed in (1, 2, 3):
        noise = scores(0.0, spread=4.0, seed=seed) - scores(0.0, spread=4.0, seed=seed).mean()
        run(tmp_path, method="gain", seed=seed, f1=base)
        run(tmp_path, method="l0", seed=seed, f1=base + effect + noise)
    outcome = judge(contrast(), read(tmp_path))
    assert outcome.verdict == verdict
    assert f"**{effect:+.1f}**" in outcome.figures.replace("**-0.0**", "**+0.0**")
    assert "3 seeds; 400 questions" in outcome.figures


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ([0.1, 0.2], "undecided"),
        ([0.1, 0.2, 0.3], "holds"),
        ([0.1, -0.2, 0.3], "undecided"),
        ([-1, -2, -3], "contradicted"),
        ([0.0, 0.1, 0.2], "undecided"),
    ],
)
def test_figures_without_questions_need_three_runs_that_agree(figures: list[float], verdict: str) -> None:
    from claiming.intervals import agreed

    assert agreed(figures) == verdict
