"""Modules of both models are paired, run one or the other, and can be mixed freely."""

import pytest
import torch
from torch import nn

from secateur.distillation.patient import imitated_layers
from secateur.methods.theseus.modules import copied, mixed, pair_up
from secateur.structure.anatomy import layers_of
from secateur.structure.depth import swapped_layers


def sizes(predecessor, successor, modules):
    pairs = pair_up([nn.Identity()] * predecessor, [nn.Identity()] * successor, modules=modules)
    return [(len(pair.predecessor), len(pair.successor)) for pair in pairs]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((12, 6, 6), [(2, 1)] * 6),
        ((12, 4, 4), [(3, 1)] * 4),
        ((12, 3, 3), [(4, 1)] * 3),
        ((6, 2, 2), [(3, 1)] * 2),
        ((6, 4, 4), [(1, 1), (2, 1), (1, 1), (2, 1)]),
        ((12, 6, 2), [(6, 3)] * 2),
        ((7, 3, 2), [(3, 1), (4, 2)]),
        ((6, 3, 1), [(6, 3)]),
    ],
)
def test_any_number_of_layers_is_cut_as_evenly_as_can_be(shape, expected):
    assert sizes(*shape) == expected


@pytest.fixture
def pairs(make_model):
    """3 layers in 2 modules, successors of another model."""
    model, other = make_model(seed=1), make_model(seed=2)
    return model, other, pair_up(list(layers_of(model)), copied(layers_of(other)[:2]), modules=2)


def run(model, batch):
    with torch.no_grad():
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).start_logits


def test_with_no_module_replaced_the_predecessor_runs(pairs, batch):
    model, _, modules = pairs
    expected = run(model, batch)
    for module in modules:
        module.train()
        module.replaced = False
        for child in [*module.predecessor, *module.successor]:
            child.eval()
    with swapped_layers(model, modules):
        assert torch.equal(run(model, batch), expected)
    with swapped_layers(model, mixed(modules, [])):
        assert torch.equal(run(model, batch), expected)


def test_in_evaluation_the_successors_run_whatever_was_drawn(pairs, batch):
    model, other, modules = pairs
    with swapped_layers(model, list(layers_of(other)[:2])):
        expected = run(model, batch)
    for module in modules:
        module.replaced = False
        module.eval()
    with swapped_layers(model, modules):
        assert torch.equal(run(model, batch), expected)


def test_a_mix_takes_each_module_from_one_of_the_two(pairs):
    model, _, modules = pairs
    layers = list(layers_of(model))
    assert mixed(modules, [1]) == [layers[0], *modules[1].successor]
    assert mixed(modules, [0]) == [*modules[0].successor, layers[1], layers[2]]


def test_successors_are_copies(make_model):
    model = make_model()
    (successor,) = copied(layers_of(model)[:1])
    next(successor.parameters()).data.zero_()
    assert next(layers_of(model)[0].parameters()).any()


@pytest.mark.parametrize(("layers", "left"), [(12, 6), (6, 4), (6, 3), (5, 3), (7, 4)])
def test_modules_end_where_patient_distillation_looks(layers, left):
    """Otherwise a batch of predecessors alone, which says what the teacher says, would be told off for it."""
    predecessor = [nn.Identity() for _ in range(layers)]
    modules = pair_up(predecessor, [nn.Identity()] * left, modules=left)
    ends = [predecessor.index(module.predecessor[-1]) for module in modules]
    assert ends[:-1] == imitated_layers(left, layers, layers="skip")
