"""One-shot magnitude pruning: the smallest weights are zero and declared so, and nothing else has changed."""

from __future__ import annotations

import pytest
import torch

from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.magnitude import Magnitude
from secateur.methods.ranking import Amount
from secateur.runs.building import check_buildable
from secateur.structure.checkpoint import save_model
from secateur.structure.fixed_zeros import masks_of
from tests.small_runs import composed


def test_zeroes_the_smallest_of_every_matrix(make_model, make_context):
    model, dense = make_model(), make_model().state_dict()
    state = Magnitude(amount=Amount(sparsity=0.7)).run(State(model=model), make_context())
    assert state.details["zeroed"] == pytest.approx(0.7, abs=1e-3)
    masks = {f"bert.{name}": mask for name, mask in masks_of(state.model).items()}
    assert len(masks) == 18
    for name, weight in state.model.state_dict().items():
        mask = masks.get(name, torch.ones_like(weight, dtype=torch.bool))
        assert weight.equal(dense[name] * mask)
        if name in masks:
            assert weight[mask].abs().min() >= dense[name][~mask].abs().max()


def test_a_second_helping_goes_on_from_the_first(make_model, make_context):
    state = Magnitude(amount=Amount(sparsity=0.4)).run(State(model=make_model()), make_context())
    first = masks_of(state.model)
    state = Magnitude(amount=Amount(sparsity=0.6)).run(state, make_context())
    assert all((first[name] | ~mask).all() for name, mask in masks_of(state.model).items())
    with pytest.raises(
        SecateurError, match=r"^sparsity=0\.5: the model to start from already has 0\.6\d* zeros[^\n]*$"
    ):
        Magnitude(amount=Amount(sparsity=0.5)).run(state, make_context())


@pytest.mark.parametrize("key", ["predecessor.checkpoint", "model.checkpoint"])
def test_fewer_zeros_than_a_given_model_keeps_are_refused_before_anything_is_trained(
    make_model, make_context, workshop, tmp_path, key
):
    state = Magnitude(amount=Amount(sparsity=0.6)).run(State(model=make_model()), make_context())
    save_model(state.model, workshop.tokenizer, tmp_path / "sparse")
    given = [f"{key}={tmp_path / 'sparse'}", *(("model=minilm",) if key == "model.checkpoint" else ())]
    for method in ("magnitude", "nip", "rpp"):
        check_buildable(checked(composed(f"method={method}", "sparsity=0.7", *given, output=tmp_path)))
        with pytest.raises(SecateurError, match=r"^sparsity=0\.5: the model to start from already has 0\.6\d* zeros"):
            check_buildable(checked(composed(f"method={method}", "sparsity=0.5", *given, output=tmp_path)))


def test_a_random_mask_is_the_steps_own(make_model, make_context):
    step = Magnitude(amount=Amount(sparsity=0.5, ranking="random"))
    one, same, other = (
        masks_of(step.run(State(model=make_model()), make_context(seed=seed)).model) for seed in (1, 1, 2)
    )
    assert all(mask.equal(same[name]) for name, mask in one.items())
    assert not any(mask.equal(other[name]) for name, mask in one.items())
