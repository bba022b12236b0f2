"""The proximal phase comes close to its target by its steps alone, and ends exactly at it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.magnitude import Magnitude
from secateur.methods.ranking import Amount, Matrices
from secateur.methods.rpp import Proximal
from secateur.methods.rpp.training import ProximalTraining
from secateur.structure.fixed_zeros import declared_patterns, masks_of

SETTINGS: dict[str, Any] = {
    "sparsity": 0.7,
    "gamma": None,
    "reweight": True,
    "reweight_every": 4,
    "epsilon": 1e-9,
    "prox_scale": "scalar",
    "epochs": 8,
    "batch_size": 16,
    "accumulate_grad_batches": 1,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
}


def phase(**changes: Any) -> Proximal:
    return Proximal(**{**SETTINGS, **changes})


@pytest.mark.parametrize("prox_scale", ["scalar", "adam"])
@pytest.mark.parametrize("reweight", [True, False])
@pytest.mark.parametrize("sparsity", [0.3, 0.8])
def test_steps_come_within_half_a_point_and_the_end_is_exact(make_model, make_context, prox_scale, reweight, sparsity):
    model = make_model()
    step = phase(prox_scale=prox_scale, reweight=reweight, sparsity=sparsity)
    state = step.run(State(model=model), make_context())
    count = sum(weight.numel() for weight in Matrices(model).by_name.values())
    assert state.details["zeroed_by_steps"] == pytest.approx(sparsity, abs=0.005)
    assert sparsity <= state.details["zeroed"] < sparsity + 1.01 / count
    assert state.details["gamma"] > 0
    assert masks_of(state.model).keys() == Matrices(model).by_name.keys()
    assert not state.model.training
    assert int((model.bert.embeddings.word_embeddings.weight == 0).sum()) <= 32  # the padding's row alone


def test_a_given_gamma_prunes_as_far_as_it_goes(make_model, make_context):
    found = [
        phase(sparsity=None, gamma=gamma).run(State(model=make_model()), make_context(name=str(gamma))).details
        for gamma in (1e-2, 1.0)
    ]
    assert 0 < found[0]["zeroed"] < found[1]["zeroed"] < 1
    assert [each["gamma"] for each in found] == [1e-2, 1.0]
    assert all(each["zeroed"] == each["zeroed_by_steps"] for each in found)
    assert all(each["predicted"] == pytest.approx(each["zeroed"], abs=0.05) for each in found)
    assert all(each["mean_size"] > 0 for each in found)


def test_the_penalty_is_no_part_of_the_loss(make_model, make_context, monkeypatch):
    losses: dict[float, list[float]] = {}
    plain = ProximalTraining.training_step

    def watched(self: ProximalTraining, batch: Any) -> Any:
        loss = plain(self, batch)
        losses.setdefault(self.shrinkage.penalty.gamma, []).append(loss.item())
        return loss

    monkeypatch.setattr(ProximalTraining, "training_step", watched)
    for gamma in (1e-6, 1e3):
        context = make_context(name=str(gamma))
        phase(sparsity=None, gamma=gamma, warmup_ratio=0.0).run(State(model=make_model()), context)
    assert losses[1e-6][0] == losses[1e3][0]
    assert losses[1e-6][1] != losses[1e3][1]


def test_fixed_zeros_stay_and_others_join(make_model, make_context):
    state = Magnitude(amount=Amount(sparsity=0.4, ranking="random")).run(State(model=make_model()), make_context())
    first = masks_of(state.model)
    state = phase(sparsity=0.6).run(state, make_context())
    assert state.details["zeroed"] == pytest.approx(0.6, abs=1e-3)
    assert all((first[name] | ~mask).all() for name, mask in masks_of(state.model).items())
    with pytest.raises(
        SecateurError, match=r"^sparsity=0\.5: the model to start from already has 0\.6000 zeros[^\n]*$"
    ):
        phase(sparsity=0.5).run(state, make_context())


def test_what_is_included_reaches_the_same_fraction(make_model, make_context):
    model, name = make_model(), "embeddings.word_embeddings.weight"
    phase(include=[name], sparsity=0.5).run(State(model=model), make_context())
    assert (model.bert.embeddings.word_embeddings.weight == 0).float().mean().item() == pytest.approx(0.5, abs=0.001)
    assert declared_patterns(model.config)[-1] == name


def test_uneven_models_and_accumulated_steps(make_model, make_context):
    step = phase(accumulate_grad_batches=2, reweight_every=2)
    state = step.run(State(model=make_model(uneven=True)), make_context())
    assert state.details["zeroed_by_steps"] == pytest.approx(0.7, abs=0.01)
    assert state.details["zeroed"] == pytest.approx(0.7, abs=1e-3)


def test_coarse_weights_are_refused(make_model, make_context):
    context = make_context()
    with pytest.raises(SecateurError, match=r"^phase step: needs float32 weights; set trainer\.precision=[^\n]*$"):
        phase().run(State(model=make_model().bfloat16()), context)


def test_survivors_are_larger_than_under_l1(make_model, make_context):
    """Claim of the paper, at the same sparsity."""
    means = {}
    for reweight in (True, False):
        model = make_model()
        phase(reweight=reweight, sparsity=0.6).run(State(model=model), make_context(name=str(reweight)))
        weights = torch.cat([weight.detach().flatten() for weight in Matrices(model).by_name.values()])
        means[reweight] = weights[weights != 0].abs().mean()
    assert means[True] > 1.1 * means[False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": None}, "sparsity=null: amount to remove not given"),
        ({"gamma": 1e-3}, r"gamma=0\.001: cannot be combined with sparsity="),
        ({"sparsity": None, "gamma": 0.0}, r"gamma=0\.0: must be above 0"),
        ({"sparsity": 1.0}, r"sparsity=1\.0: must lie in \[0, 1\)"),
        ({"epsilon": 0.0}, r"epsilon=0\.0: must be above 0"),
        ({"reweight_every": 0}, "reweight_every=0: must be at least 1 optimizer step"),
        ({"prox_scale": "sgd"}, "prox_scale=sgd: must be one of scalar, adam"),
        ({"epochs": 0}, "epochs=0: must be above 0"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        phase(**settings)
