"""Surgery is exact: the shrunk model computes the same as the gated one."""

import pytest
import torch

from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import remove_heads, remove_units, round_up, shrink
from tests.architectures import ARCHITECTURES


def make_gates(heads, units) -> PerGate:
    """Gates that are 1 for the listed heads and units of each layer."""

    def opened(indices, size):
        gate = torch.zeros(size)
        gate[list(indices)] = 1
        return gate

    return PerGate(
        heads=tuple(opened(layer, 4) for layer in heads),
        units=tuple(opened(layer, 24) for layer in units),
    )


ALL_HEADS, ALL_UNITS = [range(4)] * 3, [range(24)] * 3
CUTS = {
    "uneven": make_gates([[0, 2], [1], [0, 1, 3]], [range(3), range(10, 24), [7]]),
    "a layer without heads": make_gates([[], [1, 2], range(4)], ALL_UNITS),
    "a layer without units": make_gates(ALL_HEADS, [range(6), [], range(24)]),
    "a layer without both": make_gates([[0], [], [3]], [range(2), [], range(24)]),
    "nothing left": make_gates([[]] * 3, [[]] * 3),
    "nothing removed": make_gates(ALL_HEADS, ALL_UNITS),
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_shrunk_model_equals_the_gated_one(make_model, batch, model_type, cut, attention):
    model = make_model(model_type=model_type, attention=attention)
    with torch.no_grad():
        with gated(model, CUTS[cut]):
            before = model(**batch)
        after = shrink(model, CUTS[cut])(**batch)
    assert torch.allclose(before.start_logits, after.start_logits, atol=1e-5, rtol=0)
    assert torch.allclose(before.end_logits, after.end_logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"attention": "eager"}, *({"model_type": name} for name in ARCHITECTURES)])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_empty_sublayers_train(make_model, batch, uneven_gates, options, bfloat16):
    """Sizes of zero must survive dropout, backward, clipping and a fused optimizer; the bias still learns."""
    model = shrink(make_model(**options), uneven_gates).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        positions = torch.tensor([1, 2])
        loss = model(**batch, start_positions=positions, end_positions=positions).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    anatomy, layers = anatomy_of(model.config), layers_of(model)
    for projection in (layers[0].get_submodule(anatomy.attention_output), layers[1].get_submodule(anatomy.down)):
        assert projection.bias.grad.abs().sum() > 0
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_surgery_goes_on_where_surgery_left_off(make_model, batch):
    """Two cuts, the second given in the shape that the first left, equal one cut."""
    once = shrink(make_model(), make_gates([[1], [0, 3], [2]], [[4, 9], range(3), range(24)]))
    twice = shrink(make_model(), make_gates([[1, 2], [0, 1, 3], [2]], [range(4, 10), range(3), range(24)]))
    second = PerGate(
        heads=(torch.tensor([1.0, 0]), torch.tensor([1.0, 0, 1]), torch.ones(1)),
        units=(torch.tensor([1.0, 0, 0, 0, 0, 1]), torch.ones(3), torch.ones(24)),
    )
    assert torch.equal(shrink(twice, second)(**batch).start_logits, once(**batch).start_logits)
    assert structure_sizes(twice) == ([1, 2, 1], [2, 3, 24])


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_bookkeeping_follows_the_matrices(make_model, uneven_gates, model_type):
    model = make_model(model_type=model_type)
    assert shrink(model, uneven_gates) is model
    assert structure_sizes(model) == ([0, 3, 1], [12, 0, 5])
    assert model.config.secateur["heads"] == [0, 3, 1]
    assert model.config.secateur["units"] == [12, 0, 5]
    anatomy, layer = anatomy_of(model.config), layers_of(model)[1]
    attention = layer.get_submodule(anatomy.attention)
    assert (getattr(attention, anatomy.head_count), getattr(attention, anatomy.heads_width)) == (3, 24)
    assert layer.get_submodule(anatomy.attention_output).weight.shape == (32, 24)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
    assert all(parameter.is_contiguous() for parameter in model.parameters())


def test_frozen_weights_stay_frozen(make_model, uneven_gates):
    model = make_model()
    model.bert.encoder.layer[2].attention.self.query.requires_grad_(False)
    shrink(model, uneven_gates)
    assert not model.bert.encoder.layer[2].attention.self.query.weight.requires_grad
    assert model.bert.encoder.layer[2].attention.self.key.weight.requires_grad


def test_heads_and_units_can_be_removed_apart(make_model):
    model = make_model()
    remove_heads(model, [torch.tensor([0, 2])] * 3)
    assert structure_sizes(model) == ([2, 2, 2], [24, 24, 24])
    remove_units(model, [torch.arange(5)] * 3)
    assert structure_sizes(model) == ([2, 2, 2], [5, 5, 5])


def test_a_shrunk_model_can_be_exported(make_model, batch, uneven_gates):
    """Under eager attention and with free sizes, as ONNX export traces it; the program computes the same."""
    model = shrink(make_model(attention="eager"), uneven_gates)
    sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=2, max=32)}
    program = torch.export.export(model, (), dict(batch), dynamic_shapes={"input_ids": sizes, "attention_mask": sizes})
    other = {name: values[:1, :7] for name, values in batch.items()}
    ours = program.module()(**other).start_logits
    assert torch.allclose(ours, model(**other).start_logits, atol=1e-5)


def test_widths_are_rounded_up_by_the_best_of_the_removed_units():
    gates = make_gates([[0]] * 3, [[20, 23], [], range(23)])
    importance = PerGate(heads=gates.heads, units=(torch.arange(24.0), torch.zeros(24), torch.zeros(24)))
    rounded = round_up(gates, round_to=5, importance=importance)
    assert rounded.units[0].nonzero().flatten().tolist() == [19, 20, 21, 22, 23]
    assert rounded.units[1].sum() == 0
    assert rounded.units[2].sum() == 24, "24 is no multiple of 5, but there are no more units"
    assert gates.units[0].sum() == 2, "the gates given are left as they are"


def test_of_equally_important_units_the_first_ones_return():
    gates = make_gates([[0]], [[1, 20]])
    assert round_up(gates, round_to=4).units[0].nonzero().flatten().tolist() == [0, 1, 2, 20]


def test_rounding_keeps_the_model_exact_for_the_rounded_gates(make_model, batch, uneven_gates):
    model = make_model()
    with gated(model, round_up(uneven_gates, round_to=8)):
        before = model(**batch).start_logits
    shrink(model, uneven_gates, round_to=8)
    assert structure_sizes(model)[1] == [16, 0, 8]
    assert torch.allclose(model(**batch).start_logits, before, atol=1e-5)


def test_gates_that_surgery_cannot_obey_are_refused(make_model, uneven_gates):
    model = make_model()
    uneven_gates.heads[1][0] = 0.25
    with pytest.raises(SecateurError, match=r"heads of layer 1 contain 0.25"):
        shrink(model, uneven_gates)
    with pytest.raises(SecateurError, match="round_to=0"):
        round_up(uneven_gates, round_to=0)
    with pytest.raises(SecateurError, match="gates for heads of 1 layers do not fit a model of 3 layers"):
        shrink(model, make_gates([[0]], [[0]]))
    with pytest.raises(SecateurError, match="importance"):
        round_up(uneven_gates, round_to=8, importance=make_gates([[0]], [[0]]))
    assert structure_sizes(model) == ([4, 4, 4], [24, 24, 24])
