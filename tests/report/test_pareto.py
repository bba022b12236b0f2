"""What is on a frontier: not beaten by any row with which it can be compared."""

import math

import pytest

from secateur.record import Cost
from secateur.report.pareto import frontiers, pareto
from secateur.report.rows import group
from tests.records import make_record


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([], []),
        ([(1, 1)], [0]),
        ([(1, 3), (2, 2), (3, 1)], [0, 1, 2]),
        ([(3, 1), (1, 3), (2, 2)], [1, 2, 0]),
        ([(1, 3), (2, 2), (1.5, 1)], [0, 1]),
    ],
    ids=["none", "one", "all", "unordered", "one beaten"],
)
def test_pareto_keeps_what_nothing_beats_by_rising_speed(points, best):
    assert pareto(points) == best


@pytest.mark.parametrize(
    ("points", "best"),
    [
        ([(2, 2), (2, 2)], [0, 1]),
        ([(2, 2), (2, 1)], [0]),
        ([(1, 2), (2, 2)], [1]),
        ([(1, 2), (2, 2), (2, 2), (2, 1), (0, 2), (0, 3), (0, 3)], [5, 6, 1, 2]),
    ],
    ids=["equal points both stay", "same speed, lower score", "same score, slower", "all of it"],
)
def test_pareto_with_ties(points, best):
    assert pareto(points) == best


def test_pareto_leaves_out_what_is_not_a_number():
    """A NaN compares false with everything and must not slip through as unbeaten, nor hide another point."""
    assert pareto([(math.nan, 1), (1, math.nan), (1, 1)]) == [2]


def weighing(method, *, f1, disk_bytes, flops=None, **changes):
    record = make_record(method=method, f1=f1, **changes)
    record.compressed.cost = Cost(parameters=1, encoder_parameters=1, disk_bytes=disk_bytes, flops=flops or {})
    return record


def best_of(*records):
    rows = group(records)
    return {row.method: best for row, best in zip(rows, frontiers(rows), strict=True) if not row.dense}


def test_fewer_bytes_and_flops_are_better_and_more_speed_is():
    best = best_of(
        weighing("small", f1=70.0, disk_bytes=10, flops={128: 9}),
        weighing("good", f1=75.0, disk_bytes=20, flops={128: 8}),
    )
    assert best == {"small": ("bytes",), "good": ("speed", "bytes", "FLOPs")}


def test_flops_over_another_length_and_scores_on_other_data_beat_nothing():
    """A pass over 128 tokens costs less than one over 384, and a thousand questions are not the whole test set."""
    short = weighing("short", f1=75.0, disk_bytes=10, flops={128: 1})
    long = weighing("long", f1=70.0, disk_bytes=20, flops={384: 9})
    other = weighing("other", f1=60.0, disk_bytes=20, flops={384: 9}, fingerprint="xyz")
    best = best_of(short, long, other)
    assert "FLOPs" in best["long"] and best["other"] == ("speed", "bytes", "FLOPs")


def test_a_row_without_a_score_is_on_no_frontier():
    record = make_record()
    record.compressed.scores = {}
    assert best_of(record) == {"l0": ()}
