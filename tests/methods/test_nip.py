"""Masks grow along the cubic schedule, and what they close stays closed, momentum or not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.magnitude import Magnitude
from secateur.methods.nip import Gradual, GradualTraining, Ramp
from secateur.methods.ranking import Amount, Matrices
from secateur.structure.fixed_zeros import declared_patterns, layer_patterns, masks_of

SETTINGS: dict[str, Any] = {
    "update_every": 4,
    "ramp_start": 0.0,
    "ramp_end": 0.75,
    "epochs": 4,
    "batch_size": 16,
    "accumulate_grad_batches": 1,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
}


def phase(**changes: Any) -> Gradual:
    return Gradual(**{**SETTINGS, "amount": Amount(sparsity=0.8), **changes})


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """What is not zero in each pruned matrix, after every optimizer step; moments are checked on the way."""
    seen: list[dict[str, torch.Tensor]] = []
    plain = GradualTraining.optimizer_step

    def step(
        self: GradualTraining, epoch: int, batch_idx: int, optimizer: Any, *arguments: Any, **options: Any
    ) -> None:
        plain(self, epoch, batch_idx, optimizer, *arguments, **options)
        seen.append({name: weight.detach() != 0 for name, weight in self.matrices.by_name.items()})
        for name, weight in self.matrices.by_name.items():
            if name in self.masks:
                moments = optimizer.state[weight]
                assert not moments["exp_avg"][self.masks[name] == 0].any()
                assert not moments["exp_avg_sq"][self.masks[name] == 0].any()

    monkeypatch.setattr(GradualTraining, "optimizer_step", step)
    return seen


def sparsities(seen: list[dict[str, torch.Tensor]]) -> list[float]:
    return [1 - torch.cat([mask.flatten() for mask in masks.values()]).float().mean().item() for masks in seen]


def test_sparsity_follows_the_cubic_schedule_and_nothing_comes_back(make_model, make_context, watched):
    model = make_model()
    state = phase().run(State(model=model), make_context())
    found, steps = sparsities(watched), len(watched)
    assert steps == 20
    for done in range(1, steps + 1):
        last = done - done % 4
        expected = 0.8 * (1 - (1 - min(1.0, last / steps / 0.75)) ** 3)
        assert found[done - 1] == pytest.approx(expected, abs=2e-3)
    for earlier, later in pairwise(watched):
        assert all((earlier[name] | ~later[name]).all() for name in later)
    assert state.details["zeroed"] == pytest.approx(0.8, abs=1e-3)
    assert list(declared_patterns(model.config)) == layer_patterns(model.config)
    assert all(mask.equal(watched[-1][name]) for name, mask in masks_of(model).items())


def test_a_sparse_model_goes_on_from_where_it_is(make_model, make_context, watched):
    state = Magnitude(amount=Amount(sparsity=0.5)).run(State(model=make_model()), make_context())
    state = phase().run(state, make_context())
    assert sparsities(watched)[0] == pytest.approx(0.5, abs=1e-3)
    assert sparsities(watched)[3] == pytest.approx(0.8 - 0.3 * (1 - 0.2 / 0.75) ** 3, abs=2e-3)
    with pytest.raises(SecateurError, match=r"^sparsity=0\.7: the model to start from already has 0\.8\d* zeros"):
        phase(amount=Amount(sparsity=0.7)).run(state, make_context())


def test_zeros_beyond_a_matrix_s_share_stay(make_model, make_context, watched):
    """A start that was pruned by one ranking over all matrices has more of them in some than each is to have."""
    model = make_model()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight.mul_(0.01)
    state = Magnitude(amount=Amount(sparsity=0.5, scope="global")).run(State(model=model), make_context())
    before = masks_of(state.model)
    phase(amount=Amount(sparsity=0.6)).run(state, make_context())
    assert any((~mask).float().mean() > 0.7 for mask in before.values())
    after = masks_of(model)
    assert all((before[name] | ~after[name]).all() for name in before)


@pytest.mark.parametrize("amount", [Amount(pattern="2:4"), Amount(sparsity=0.5, scope="global", ranking="random")])
def test_patterns_and_random_masks_grow_too(make_model, make_context, watched, amount):
    model = make_model()
    phase(amount=amount, update_every=1).run(State(model=model), make_context())
    assert Matrices(model).sparsity == pytest.approx(0.5, abs=1e-3)
    assert 0 < sparsities(watched)[0] < 0.5
    if amount.pattern:
        weight = model.bert.encoder.layer[1].output.dense.weight
        assert (weight != 0).view(32, -1, 4).sum(-1).eq(2).all()


def test_a_phase_shorter_than_an_update_still_reaches_the_target(make_model, make_context):
    state = phase(update_every=1000, epochs=0.5, ramp_end=1.0).run(State(model=make_model()), make_context())
    assert state.details["zeroed"] == pytest.approx(0.8, abs=1e-3)


def test_ramp_by_hand():
    ramp = Ramp(update_every=10, start=0.2, end=0.6)
    assert [ramp.grown(progress) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.875, 1, 1])
    assert [ramp.is_due(done, 25) for done in (5, 10, 20, 24, 25)] == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update_every": 0}, "update_every=0: must be at least 1 optimizer step"),
        ({"ramp_start": 0.8}, r"ramp_start=0\.8: must lie below ramp_end=0\.75"),
        ({"ramp_end": 1.5}, r"ramp_start=0\.0: must lie below ramp_end=1\.5, and both in \[0, 1\]"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        phase(**settings)
