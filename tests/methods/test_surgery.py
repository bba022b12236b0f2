"""The step around surgery: it needs gates, uses them up, and rounds by importance."""

from __future__ import annotations

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.surgery import Surgery
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes


def test_removes_what_is_gated_off_and_uses_up_gates_and_importance(make_model, make_context):
    """Neither fits the smaller model any more."""
    gates = _ones()
    gates.heads[0][1:3], gates.units[2][5:] = 0, 0
    after = Surgery().run(State(model=make_model(), gates=gates, importance=_ones()), make_context())
    assert structure_sizes(after.model) == ([2, 4, 4], [48, 48, 5])
    assert after.gates is None
    assert after.importance is None
    assert Surgery.changes_model


def test_rounds_widths_up_by_what_matters_most(make_model, make_context):
    """Of 30 units that would go from a layer with 18 to keep, the 6 most important come back to make 24."""
    model, importance, gates = make_model(), _ones(), _ones()
    gates.units[1][18:] = 0
    importance.units[1][:] = torch.arange(48)
    weight = model.bert.encoder.layer[1].output.dense.weight.detach().clone()
    after = Surgery(round_to=8).run(State(model=model, gates=gates, importance=importance), make_context())
    assert structure_sizes(after.model)[1] == [48, 24, 48]
    kept = [*range(18), *range(42, 48)]
    assert after.model.bert.encoder.layer[1].output.dense.weight.equal(weight[:, kept])


@pytest.mark.parametrize("width", [0, -8])
def test_refuses_to_round_to_less_than_one(width):
    with pytest.raises(SecateurError, match=rf"^round_to={width}: must be at least 1$"):
        Surgery(round_to=width)


def _ones() -> PerGate:
    return PerGate(
        heads=tuple(torch.ones(4) for _ in range(3)),
        units=tuple(torch.ones(48) for _ in range(3)),
    )
