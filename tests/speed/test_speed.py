"""Faster CPU training changes only which elements are dropped."""

import copy

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.bert.modeling_bert import eager_attention_forward

from secateur.speed import accelerate_training, attention
from secateur.speed.attention import ATTENTION, training_attention
from secateur.speed.dropout import FastDropout, fast_dropout, random_bytes, use_fast_dropout
from secateur.structure.anatomy import anatomy_of, layers_of
from tests.architectures import ARCHITECTURES, random_model

B, H, Q, D = 3, 2, 7, 4


class Caller(nn.Module):
    """Stands for the attention module that calls."""

    is_causal = False


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "initializer_range": 0.02, "attn_implementation": "sdpa"}


@pytest.fixture
def model() -> PreTrainedModel:
    return random_model("bert", **SIZES).train()


@pytest.fixture(params=ARCHITECTURES)
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Each architecture in turn."""
    return random_model(request.param, **SIZES).train()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    mask = torch.ones(B, Q, dtype=torch.long)
    mask[1, 4:] = 0
    positions = torch.tensor([1, 2, 3])
    ids = torch.arange(B * Q).view(B, Q)
    return {"input_ids": ids, "attention_mask": mask, "start_positions": positions, "end_positions": positions}


def qkv(dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Query, key and value with the strides they have in a model: (B, Q, H, D) in memory."""
    torch.manual_seed(1)
    return [torch.randn(B, Q, H, D, dtype=dtype).transpose(1, 2).requires_grad_() for _ in range(3)]


def masks() -> dict[str, torch.Tensor | None]:
    seen = torch.ones(B, 1, 1, Q, dtype=torch.bool)
    seen[1, ..., 4:] = False
    empty_row = seen.expand(B, 1, Q, Q).clone()
    empty_row[0, 0, 2] = False
    additive = torch.zeros(B, 1, Q, Q).masked_fill(~empty_row, torch.finfo(torch.float32).min)
    return {"none": None, "boolean": seen, "empty row": empty_row, "additive": additive, "one for all": seen[1:2]}


def as_additive(mask: torch.Tensor | None) -> torch.Tensor | None:
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)


# --- dropout


def test_every_position_of_a_draw_is_dropped_at_the_rounded_rate() -> None:
    """A draw gives eight bytes; a sign bit stuck at 0 would show in one of them only."""
    torch.manual_seed(0)
    kept = fast_dropout(torch.ones(400_000), 0.1).view(-1, 8) != 0
    rate, deviation = 1 - 26 / 256, (0.1 * 0.9 / 50_000) ** 0.5
    assert (kept.float().mean(0) - rate).abs().max() < 5 * deviation


def test_mean_and_variance_are_those_of_dropout() -> None:
    torch.manual_seed(0)
    p = 77 / 256
    y = fast_dropout(torch.ones(1_000_000), 0.3)
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - p)])
    assert y.mean().item() == pytest.approx(1, abs=5e-3)
    assert y.var().item() == pytest.approx(p / (1 - p), abs=5e-3)


def test_elements_rows_and_calls_are_independent() -> None:
    torch.manual_seed(0)
    first, second = (fast_dropout(torch.ones(500, 1000), 0.3) for _ in range(2))
    centred = (first - first.mean()) / first.std()
    other = (second - second.mean()) / second.std()
    for lag in (1, 2, 3, 4, 7, 8, 16):
        assert (centred[:, lag:] * centred[:, :-lag]).mean().abs() < 0.01
    assert (centred[1:] * centred[:-1]).mean().abs() < 0.01
    assert (centred * other).mean().abs() < 0.01


def test_backward_drops_what_forward_dropped() -> None:
    x = torch.randn(5, 13, dtype=torch.float64, requires_grad=True)

    def seeded(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return fast_dropout(x.t(), 0.4)  # not contiguous

    assert torch.autograd.gradcheck(seeded, x)


def test_draws_are_torchs_own_and_depend_on_the_shape_alone() -> None:
    """What restores a run's random state restores the masks; a frozen layer or another p shifts no later mask."""
    states, results = [], []
    for p, x in ((0.1, torch.ones(9, 11)), (0.1, torch.ones(9, 11)), (0.5, torch.zeros(9, 11).bfloat16())):
        torch.manual_seed(5)
        results.append(fast_dropout(x, p))
        states.append(torch.get_rng_state())
    assert torch.equal(results[0], results[1])
    assert all(torch.equal(state, states[0]) for state in states)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_extremes_of_p_are_those_of_stock_dropout(p: float, expected: float) -> None:
    assert torch.equal(FastDropout(p)(torch.ones(100)), torch.full((100,), expected))


def test_evaluation_and_empty_tensors_pass_through() -> None:
    x = torch.randn(4, 5)
    assert FastDropout(0.5).eval()(x) is x
    assert FastDropout(0.5)(torch.ones(3, 0)).shape == (3, 0)


def test_dropouts_are_swapped_and_put_back(model: nn.Module) -> None:
    """Also after an error, and in layers copied meanwhile; hooks stay on."""
    calls = []
    dropout = model.bert.embeddings.dropout
    dropout.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(RuntimeError, match="stop"), use_fast_dropout(model):
        assert type(dropout) is FastDropout
        dropout(torch.ones(3))
        model.bert.encoder.layer[1] = copy.deepcopy(model.bert.encoder.layer[0])
        raise RuntimeError("stop")
    assert calls == [1]
    assert not any(isinstance(module, FastDropout) for module in model.modules())


# --- attention


@pytest.mark.parametrize("name", masks())
def test_nothing_dropped_is_eager_attention(name: str) -> None:
    """Output and gradients, for every kind of mask; a query that sees no key gives no NaN."""
    mask = masks()[name]
    inputs, expected_inputs = qkv(), qkv()
    ours = attention._TrainingAttention.apply(*inputs, attention._additive(mask, inputs[0]), 0.3, 0)
    expected, _ = eager_attention_forward(Caller(), *expected_inputs, as_additive(mask), scaling=0.3)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(ours)
    (ours * weight).sum().backward()
    (expected * weight).sum().backward()
    for x, y in zip(inputs, expected_inputs, strict=True):
        torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-5)


def test_dropping_equals_the_same_mask_laid_on_by_hand() -> None:
    q, k, v = qkv()
    torch.manual_seed(7)
    ours, _ = training_attention(Caller(), q, k, v, None, dropout=0.3)
    torch.manual_seed(7)
    keep = torch.stack([random_bytes(torch.Size((H, Q, Q))) >= 77 for _ in range(B)])
    probs = torch.softmax(q @ k.mT * D**-0.5, dim=-1) * keep / (1 - 77 / 256)
    torch.testing.assert_close(ours, (probs @ v).transpose(1, 2))


@pytest.mark.parametrize("masked", [True, False])
def test_gradients_under_dropout(masked: bool) -> None:
    mask = masks()["boolean"] if masked else None

    def seeded(*inputs: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(7)
        return training_attention(Caller(), *inputs, mask, dropout=0.3)[0]

    assert torch.autograd.gradcheck(seeded, qkv(torch.float64), fast_mode=True)


def test_minus_infinity_in_a_mask_hides_keys() -> None:
    q, k, v = qkv()
    outputs = []
    for lowest in (-torch.inf, torch.finfo(torch.float32).min):
        torch.manual_seed(7)
        mask = torch.zeros(B, 1, 1, Q).masked_fill(~masks()["boolean"], lowest)
        outputs.append(training_attention(Caller(), q, k, v, mask, dropout=0.1)[0])
    assert torch.equal(*outputs)


def test_a_learned_bias_keeps_its_gradient() -> None:
    """Our kernel has none for the mask, so such a mask goes to sdpa."""
    bias = torch.zeros(B, 1, Q, Q, requires_grad=True)
    training_attention(Caller(), *qkv(), bias, dropout=0.1)[0].square().sum().backward()
    assert bias.grad is not None
    assert bias.grad.abs().sum() > 0


def test_causal_modules_stay_causal() -> None:
    caller = Caller()
    caller.is_causal = True
    q, k, v = qkv()
    output, _ = training_attention(caller, q, k, v, None, dropout=0.1)
    (grad,) = torch.autograd.grad(output[:, 0].sum(), v)
    assert grad[:, :, 1:].abs().sum() == 0


@pytest.mark.parametrize("name", masks())
def test_bfloat16_without_dropout_is_sdpa(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gradients are asked for; the fused kernel goes on to serve passes without them."""
    mask, inputs, expected_inputs = masks()[name], qkv(torch.bfloat16), qkv(torch.bfloat16)
    expected, _ = attention.sdpa_attention_forward(Caller(), *expected_inputs, mask, is_causal=False)
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *_, **__: ("stock", None))
    ours, _ = training_attention(Caller(), *inputs, mask)
    seen = slice(3, None)  # a query before sees no key in some masks; what it gets then is nobody's business
    torch.testing.assert_close(ours[:, seen], expected[:, seen], atol=0.02, rtol=0.02)
    weight = torch.randn_like(ours)[:, seen]
    (ours[:, seen] * weight).sum().backward()
    (expected[:, seen] * weight).sum().backward()
    for x, y in zip(inputs, expected_inputs, strict=True):
        torch.testing.assert_close(x.grad, y.grad, atol=0.05, rtol=0.05)
    with torch.no_grad():
        assert training_attention(Caller(), *inputs, mask)[0] == "stock"
    assert training_attention(Caller(), *qkv(), mask)[0] == "stock"  # float32


# --- a whole model


def test_evaluation_inside_the_context_is_untouched(any_model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    any_model.eval()
    expected = any_model(**batch).start_logits
    with accelerate_training(any_model):
        assert torch.equal(any_model(**batch).start_logits, expected)


def test_training_is_repeatable_and_unbiased(model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """The same seed gives the same gradients; the mean loss is that of stock dropout."""

    def losses(count: int) -> torch.Tensor:
        torch.manual_seed(11)
        return torch.stack([model(**batch).loss.detach() for _ in range(count)])

    stock = losses(100)
    with accelerate_training(model):
        ours = losses(100)
        assert torch.equal(losses(3), ours[:3])
    error = ((stock.var() + ours.var()) / 100).sqrt()
    assert (stock.mean() - ours.mean()).abs() < 4 * error


@pytest.mark.parametrize("heads", [0, 1])
def test_layers_may_differ_in_heads_and_have_none(
    any_model: PreTrainedModel, batch: dict[str, torch.Tensor], heads: int
) -> None:
    anatomy, layer = anatomy_of(any_model.config), layers_of(any_model)[0]
    for path in (anatomy.query, anatomy.key, anatomy.value):
        layer.set_submodule(path, nn.Linear(16, 4 * heads))
    layer.set_submodule(anatomy.attention_output, nn.Linear(4 * heads, 16))
    with accelerate_training(any_model):
        any_model(**batch).loss.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in any_model.parameters())
    assert layer.get_submodule(anatomy.attention_output).bias.grad.abs().sum() > 0


def test_bf16_autocast(model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    with accelerate_training(model), torch.autocast("cpu", torch.bfloat16):
        loss = model(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_attention_is_put_back_in_copied_layers_too(model: nn.Module) -> None:
    """A copied layer carries a copy of the config, which the model's own setter would not reach."""
    model.bert.encoder.layer[1] = copy.deepcopy(model.bert.encoder.layer[1])
    configs = [model.config, *(layer.attention.self.config for layer in model.bert.encoder.layer)]
    with accelerate_training(model):
        assert {config._attn_implementation for config in configs} == {ATTENTION}
        model.bert.encoder.layer[0] = copy.deepcopy(model.bert.encoder.layer[0])
    configs += [layer.attention.self.config for layer in model.bert.encoder.layer]
    assert {config._attn_implementation for config in configs} == {"sdpa"}


def test_eager_attention_is_respected(model: nn.Module, batch: dict[str, torch.Tensor]) -> None:
    """Whoever set it wants the probabilities."""
    model.set_attn_implementation("eager")
    with accelerate_training(model):
        assert model(**batch, output_attentions=True).attentions[0].shape == (B, 4, Q, Q)
    assert model.config._attn_implementation == "eager"


def test_the_fast_path_is_taken(
    any_model: nn.Module, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the registry names and signatures of transformers: a silent fall back would only cost time."""
    monkeypatch.setattr(attention, "sdpa_attention_forward", None)
    monkeypatch.setattr(nn.functional, "dropout", None)
    with accelerate_training(any_model):
        any_model(**batch).loss.backward()
