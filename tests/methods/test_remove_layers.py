"""Layers are removed as configured, from the configured model, or as a search on val finds best."""

import dataclasses

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.layer_choice import LayerAmount
from secateur.methods.remove_layers import RemoveLayers
from secateur.structure.anatomy import layers_of
from secateur.structure.shape import structure_sizes


def test_the_layers_that_stay_are_those_that_were_there(make_model, make_context):
    model = make_model()
    own = list(layers_of(model))
    state = RemoveLayers(amount=LayerAmount(layers=2), remove="every_other").run(State(model=model), make_context())
    assert list(layers_of(state.model)) == own[:2]
    assert state.details == {"unit": "layer", "kept": [0, 1]}


def test_a_list_says_itself_what_stays(make_model, make_context):
    step = RemoveLayers(amount=LayerAmount(keep=[0, 2]), remove="last")
    assert step.run(State(model=make_model()), make_context()).details["kept"] == [0, 2]


@pytest.mark.parametrize(
    ("unit", "heads", "units"), [("attention", [4, 4, 0], [48] * 3), ("ffn", [4] * 3, [48, 48, 0])]
)
def test_a_sublayer_goes_alone(make_model, make_context, unit, heads, units):
    step = RemoveLayers(amount=LayerAmount(layers=2), remove="last", unit=unit)
    assert structure_sizes(step.run(State(model=make_model()), make_context()).model) == (heads, units)


def test_the_pretrained_model_can_be_cut_instead(make_model, make_context):
    step = RemoveLayers(amount=LayerAmount(layers=2), remove="last", init="pretrained")
    pretrained = make_model(seed=5)
    context = make_context(pretrained=lambda: pretrained)
    state = step.run(State(model=make_model(seed=1)), context)
    assert step.needs_pretrained
    assert state.model is pretrained
    assert len(layers_of(pretrained)) == 2


@pytest.mark.parametrize("unit", ["layer", "attention"])
def test_a_search_leaves_out_what_costs_least_on_val(make_model, make_context, unit):
    """Layer 2 computes nothing that the answers hang on, and layer 0 little; scores are made up from weights left."""
    model, plain = make_model(), make_context()
    splits = []

    def scores(scored, *, split="test"):
        splits.append(split)
        batch = next(iter(plain.data.train_loader(batch_size=4, seed=0)))
        with torch.no_grad():
            distance = (plain.task.forward(scored, batch)["start_logits"] - dense).abs().mean()
        return {plain.task.metric: -distance.item()}

    batch = next(iter(plain.data.train_loader(batch_size=4, seed=0)))
    with torch.no_grad():
        for weight in layers_of(model)[2].parameters():  # its output is its input, normalised already
            weight.zero_() if weight.ndim > 1 else None
        dense = plain.task.forward(model, batch)["start_logits"]
    step = RemoveLayers(amount=LayerAmount(layers=1), remove="search", unit=unit)
    state = step.run(State(model=model), dataclasses.replace(plain, scores=scores))
    assert set(splits) == {"val"}
    assert len(splits) == 3 + 2
    assert state.details["search"][0]["layer"] == 2
    assert [found["layer"] for found in state.details["search"]] == [
        layer for layer in (2, 0, 1) if layer not in state.details["kept"]
    ]


def test_layers_that_cost_the_same_go_from_the_end(make_model, make_context):
    """Such as those of a model that answers all alike."""
    context = make_context()
    alike = dataclasses.replace(context, scores=lambda *_, **__: {context.task.metric: 50.0})
    step = RemoveLayers(amount=LayerAmount(layers=1), remove="search")
    assert step.run(State(model=make_model()), alike).details["kept"] == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"remove": "best"}, "remove=best: must be one of every_other, first, last, middle, search"),
        ({"unit": "head"}, "unit=head: must be one of layer, attention, ffn"),
        ({"remove": "search", "init": "pretrained"}, "init=pretrained: its head is untrained, [^\n]+"),
        ({"init": "random"}, "init=random: must be one of predecessor, pretrained"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        RemoveLayers(**{"amount": LayerAmount(layers=1), "remove": "last", **settings})


def test_refuses_more_layers_than_there_are_before_anything_is_trained():
    with pytest.raises(SecateurError, match=r"^layers=4: the model has only 3"):
        RemoveLayers(amount=LayerAmount(layers=4), remove="last").check(heads=[4] * 3, units=[48] * 3)
