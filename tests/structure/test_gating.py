"""A gate scales exactly one head or unit and receives gradients, and gating leaves no trace."""

import pytest
import torch

from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.gates import PerGate
from secateur.structure.gating import fold, gated
from tests.architectures import ARCHITECTURES


def test_gates_of_one_change_nothing_and_hooks_are_taken_off(make_model, batch):
    model = make_model()
    before = model(**batch).start_logits
    with gated(model, _filled(1.0)):
        assert torch.equal(model(**batch).start_logits, before)
    with pytest.raises(KeyError), gated(model, _filled(0.0)):
        raise KeyError
    assert torch.equal(model(**batch).start_logits, before)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_gate_scales_its_own_head_and_unit_as_scaled_weights_would(make_model, batch, model_type, attention):
    model, scaled = (make_model(model_type=model_type, attention=attention) for _ in range(2))
    anatomy, layers = anatomy_of(scaled.config), layers_of(scaled)
    gates = _filled(1.0)
    gates.heads[1][2], gates.units[0][5] = 0.3, 0.6
    with torch.no_grad():
        layers[1].get_submodule(anatomy.attention_output).weight[:, 16:24] *= 0.3
        layers[0].get_submodule(anatomy.down).weight[:, 5] *= 0.6
    with gated(model, gates):
        ours = model(**batch).start_logits
    assert torch.allclose(ours, scaled(**batch).start_logits, atol=1e-6)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_gates_learn_in_training_while_weights_are_frozen(make_model, batch, bfloat16):
    model = make_model().train().requires_grad_(False)
    gates = _filled(1.0, requires_grad=True)
    with gated(model, gates), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        # Twice over the same gates: no graph may be shared between two backward passes.
        for _ in range(2):
            model(**batch).start_logits.float().square().sum().backward()
    for gate in (*gates.heads, *gates.units):
        assert gate.grad is not None
        assert gate.grad.dtype == torch.float32
        assert gate.grad.abs().sum() > 0


def test_gradient_of_a_gate_is_the_slope_of_the_loss(make_model, batch):
    model = make_model().double()
    gates = _filled(0.8, requires_grad=True, dtype=torch.float64)

    def loss() -> torch.Tensor:
        with gated(model, gates):
            return model(**batch).end_logits.square().sum()

    loss().backward()
    for gate in (gates.heads[1], gates.units[2]):
        with torch.no_grad():
            gate[3] += 1e-5
            above = loss()
            gate[3] -= 2e-5
            slope = (above - loss()) / 2e-5
            gate[3] += 1e-5
        assert torch.isclose(gate.grad[3], slope, rtol=1e-5)


def test_gates_of_another_model_are_refused(make_model):
    with pytest.raises(SecateurError, match="2 layers do not fit a model of 3 layers"):
        gated(make_model(num_labels=2), PerGate(heads=_filled(1.0).heads[:2], units=())).__enter__()
    with pytest.raises(SecateurError, match=r"units of layer 0 have shape \(23,\), but the layer has 24"):
        gated(make_model(), _filled(1.0, units=23)).__enter__()


def _filled(value: float, *, units: int = 24, **options) -> PerGate:
    return PerGate(
        heads=tuple(torch.full((4,), value, **options) for _ in range(3)),
        units=tuple(torch.full((units,), value, **options) for _ in range(3)),
    )


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_folded_gates_compute_what_gates_compute(make_model, batch, model_type):
    model = make_model(model_type=model_type)
    gates = _filled(1.0)
    gates.heads[1][2], gates.units[0][5], gates.heads[0][1] = 0.3, 0.6, 0.0
    with gated(model, gates):
        expected = model(**batch).start_logits
    fold(model, gates)
    assert torch.allclose(model(**batch).start_logits, expected, atol=1e-6)
