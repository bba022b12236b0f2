"""The amount to remove is given in exactly one way, and prices have the paper's meaning."""

from __future__ import annotations

import pytest

from secateur.errors import SecateurError
from secateur.methods.l0 import Amount


def test_a_target_for_both_kinds_or_for_one():
    both = Amount(sparsity=0.5)
    assert (both.kinds, both.target("heads"), both.target("units")) == (("heads", "units"), 0.5, 0.5)
    one = Amount(units=0.7)
    assert (one.kinds, one.target("units")) == (("units",), 0.7)
    assert Amount(sparsity=0.5, split="joint").joint == 0.5


def test_lambda_is_per_gate_and_the_budget_for_all_of_a_kind():
    """BERT-large: 384 heads at 1.875e-3 and 98,304 units at 7.5e-6 are worth about as much (McCarley et al.)."""
    amount = Amount(lambda_heads=1.875e-3, budget_units=0.74, threshold=0)
    assert amount.price("heads", gates=384) == pytest.approx(0.72)
    assert amount.price("units", gates=98_304) == 0.74
    assert amount.is_priced
    assert Amount(lambda_units=7.5e-6, threshold=0).kinds == ("units",)
    assert Amount(lambda_units=7.5e-6, threshold=0).price("units", gates=98_304) == pytest.approx(0.737, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "sparsity=null: amount to remove not given"),
        (
            {"sparsity": 0.5, "lambda_heads": 1e-3, "threshold": 0},
            "lambda_heads=0.001: cannot be combined with sparsity=",
        ),
        ({"heads": 0.5, "lambda_units": 1e-5, "threshold": 0}, "lambda_units=1e-05: cannot be combined with heads"),
        ({"heads": 0.5, "budget_units": 1, "threshold": 0}, "budget_units=1: cannot be combined with heads"),
        ({"lambda_heads": 1, "budget_heads": 1, "threshold": 0}, "lambda_heads=1: given as well as budget_heads"),
        ({"lambda_heads": -1, "threshold": 0}, "lambda_heads=-1: must be 0 nats or more"),
        ({"budget_heads": 1, "threshold": 1}, "threshold=1: must be below 1"),
        ({"budget_heads": 1}, r"budget_heads=1: needs method\.threshold"),
        ({"sparsity": 1.0}, r"sparsity=1\.0: must lie in \[0, 1\)"),
    ],
)
def test_refuses_contradictions_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        Amount(**settings)
