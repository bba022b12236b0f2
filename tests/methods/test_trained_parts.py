"""A phase trains only the configured parts, and computes no unnecessary gradients."""

import pytest
from torch import nn

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.finetune import FineTuning
from secateur.methods.trained_parts import TrainedParts
from secateur.structure.parts import parts_of
from tests.methods.test_finetune import SETTINGS


def vector(weights):
    return nn.utils.parameters_to_vector(weights).detach().clone()


@pytest.mark.parametrize("clip", ["all", "trained"])
@pytest.mark.parametrize("part", ["embeddings", "head"])
def test_a_part_that_is_left_out_stays_as_it_is(make_model, make_context, part, clip):
    model = make_model()
    before = {name: vector(weights) for name, weights in parts_of(model).items()}
    FineTuning(**SETTINGS, **{f"train_{part}": False}, clip=clip).run(State(model=model), make_context())
    same = {name for name, weights in parts_of(model).items() if vector(weights).equal(before[name])}
    assert same == {part}
    assert all(weight.requires_grad for weight in model.parameters())


def test_weights_that_nobody_needs_take_no_gradient(make_model):
    model, parts = make_model(), TrainedParts(embeddings=False, head=False)
    with parts.without_needless_gradients(model, parts.of(model)):
        found = {name: {weight.requires_grad for weight in weights} for name, weights in parts_of(model).items()}
    assert found == {"embeddings": {False}, "layers": {True}, "head": {True}}
    counting_all = TrainedParts(embeddings=False, head=False, clip="all")
    with counting_all.without_needless_gradients(model, counting_all.of(model)):
        assert all(weight.requires_grad for weight in model.parameters())


def test_refuses_an_unknown_clip():
    with pytest.raises(SecateurError, match=r"^clip=none: must be one of trained, all$"):
        TrainedParts(clip="none")
