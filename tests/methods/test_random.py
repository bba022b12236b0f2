"""Random importance is uniform and depends only on the step's seed."""

from __future__ import annotations

import pytest
import torch

from secateur.methods.base import State
from secateur.methods.random import Random
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes
from tests.small_runs import run


def test_draws_uniformly_one_number_for_each_gate(make_model, make_context):
    """Every figure lies in [0, 1), and every tenth of that range holds about a tenth of them."""
    model = make_model()
    drawn = torch.cat(
        [_all(Random().run(State(model=model), make_context(seed=seed)).importance) for seed in range(20)]
    )
    assert len(drawn) == 20 * (3 * 4 + 3 * 48)
    shares = torch.histc(drawn, bins=10, min=0, max=1) / len(drawn)
    assert (shares - 0.1).abs().max() < 0.03
    assert len(drawn.unique()) > 0.999 * len(drawn)


def test_heads_and_units_ranked_together_are_as_likely_to_go(tmp_path):
    """A head has many times the weights of a unit, which must not decide."""
    record, _ = run("method=random", "method.split=joint", "sparsity=0.5", "model.epochs=1", output=tmp_path)
    assert record.compressed.structure.units_removed == pytest.approx(0.5, abs=0.15)
    assert record.compressed.structure.heads_removed == pytest.approx(0.5, abs=0.3)


def test_fits_an_uneven_model(make_model, make_context):
    model = make_model(uneven=True)
    importance = Random().run(State(model=model), make_context()).importance
    assert ([len(each) for each in importance.heads], [len(each) for each in importance.units]) == structure_sizes(
        model
    )


def test_same_seed_same_numbers_whatever_was_drawn_elsewhere(make_model, make_context):
    model = make_model()
    torch.manual_seed(5)
    one = _all(Random().run(State(model=model), make_context(seed=3)).importance)
    torch.rand(7)
    state = torch.get_rng_state()
    assert one.equal(_all(Random().run(State(model=model), make_context(seed=3)).importance))
    assert state.equal(torch.get_rng_state())
    assert not one.equal(_all(Random().run(State(model=model), make_context(seed=4)).importance))


def test_leaves_model_and_gates_alone(make_model, make_context):
    model = make_model()
    gates = PerGate(heads=(torch.ones(4),) * 3, units=(torch.ones(48),) * 3)
    after = Random().run(State(model=model, gates=gates), make_context())
    assert after.model is model
    assert after.gates is gates
    assert not Random.changes_model


def _all(importance: PerGate) -> torch.Tensor:
    return torch.cat([*importance.heads, *importance.units])
