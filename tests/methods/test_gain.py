"""The gain of a gate equals the result of a loop over single examples with real gates; scoring leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.errors import SecateurError
from secateur.methods import gain
from secateur.methods.base import State
from secateur.methods.gain import Gain, batch_gain
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.tasks.base import Task
from tests.architectures import ARCHITECTURES, random_model


class Masked:
    """A task whose loss looks at real tokens alone."""

    def forward(self, model: PreTrainedModel, batch: Batch) -> dict[str, Any]:
        start_BL = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).start_logits
        scored_BL = start_BL.masked_fill(batch["attention_mask"] == 0, -1e9)
        return {"loss": nn.functional.cross_entropy(scored_BL, batch["start_positions"])}


class Failing:
    """A task that fails once the model has run."""

    def forward(self, model: PreTrainedModel, batch: Batch) -> Any:
        model(input_ids=batch["input_ids"])
        raise ZeroDivisionError


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("uneven", [False, True], ids=["dense", "uneven"])
def test_one_pass_equals_a_loop_over_single_examples(make_model, batch, workshop, attention, uneven):
    """Heads and units, to 1e-5 of the largest gain; sublayers that have lost everything score nothing."""
    model = make_model(attention=attention, uneven=uneven)
    assert not batch["attention_mask"].all()
    found = batch_gain(model, workshop.task, batch)
    assert ([len(gate) for gate in found.heads], [len(gate) for gate in found.units]) == structure_sizes(model)
    looped = _looped(model, workshop.task, batch)
    for kind in ("heads", "units"):
        ours, theirs = (torch.cat(getattr(each, kind)) for each in (found, looped))
        assert theirs.max() > 0.01
        torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.max().item(), rtol=0)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_is_scored_as_by_real_gates(model_type, batch, workshop):
    """ELECTRA projects its embeddings before the first layer: the gradient must pass that on its way."""
    vocabulary, length = len(workshop.tokenizer), batch["input_ids"].shape[1]
    model = random_model(model_type, vocab_size=vocabulary, max_position_embeddings=length + 1)
    # The tokens were laid out for BERT, with types that not all take.
    inputs = {name: values for name, values in batch.items() if name != "token_type_ids"}
    found, looped = batch_gain(model, workshop.task, inputs), _looped(model, workshop.task, inputs)
    for kind in ("heads", "units"):
        ours, theirs = (torch.cat(getattr(each, kind)) for each in (found, looped))
        torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.max().item(), rtol=0)


def test_gradients_of_different_examples_do_not_cancel(make_model, batch, workshop):
    """Taking the absolute value once per batch is another figure, never a larger one."""
    model = make_model()
    per_example = torch.cat(batch_gain(model, workshop.task, batch).units)
    per_batch = torch.cat(_gate_gradients(model, workshop.task, batch).units).abs() * len(batch["input_ids"])
    assert (per_batch <= per_example + 1e-6).all()
    assert per_batch.sum() < 0.8 * per_example.sum()


def test_padding_of_no_consequence_to_the_loss_is_of_none_to_the_gain(make_model, batch, workshop):
    """Tokens that are masked and not scored must add nothing: here they hold another text's tokens."""
    model = make_model()
    assert batch["attention_mask"].min() == 0
    scrambled = torch.where(batch["attention_mask"].bool(), batch["input_ids"], 7)
    one, other = (batch_gain(model, Masked(), {**batch, "input_ids": ids}) for ids in (batch["input_ids"], scrambled))
    torch.testing.assert_close(torch.cat(one.units), torch.cat(other.units))


def test_leaves_no_trace_on_the_model(make_model, batch, workshop):
    """Weights, what trains and what does not, gradients and hooks are as before, also when the task fails."""
    model = make_model()
    model.bert.encoder.layer[1].requires_grad_(False)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainable = [weight.requires_grad for weight in model.parameters()]
    batch_gain(model, workshop.task, batch)
    with pytest.raises(ZeroDivisionError):
        batch_gain(model, Failing(), batch)
    for name, weight in model.named_parameters():
        assert weight.equal(before[name])
        assert weight.grad is None
    assert [weight.requires_grad for weight in model.parameters()] == trainable
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(module, kind) for module in model.modules() for kind in hooks)


def test_scores_without_dropout(make_model, make_context):
    """A model that comes in training mode is scored like one in evaluation mode."""
    context, step = make_context(), Gain(batch_size=16, examples=16)
    scored = [step.run(State(model=make_model().train(mode)), context) for mode in (True, False)]
    assert not scored[0].model.training
    for one, other in zip(scored[0].importance.units, scored[1].importance.units, strict=True):
        assert one.equal(other)


def test_takes_whole_batches_until_it_has_what_was_asked(make_model, make_context, monkeypatch):
    """Each example once, the short last batch included, and ``examples_seen`` tells what was really read."""
    context, items = make_context(), []
    total = len(context.data.examples["train"])
    size = next(size for size in range(7, total) if total % size)

    def counting(_model: PreTrainedModel, _task: Task, batch: Batch) -> PerGate:
        items.extend(batch["items"].tolist())
        count = torch.tensor([float(len(batch["items"]))])
        return PerGate(heads=(count,), units=(count, count))

    monkeypatch.setattr(gain, "batch_gain", counting)
    expected = {None: total, total + 100: total, total - 1: total, size: size, size + 1: 2 * size, 1: size}
    for asked, seen in expected.items():
        items.clear()
        step = Gain(batch_size=size, examples=asked)
        importance = step.run(State(model=make_model()), context).importance
        assert len(items) == len(set(items)) == seen == step.examples_seen(context)
        # A mean: a threshold means the same on however many examples it is held against.
        assert [value.item() for value in (*importance.heads, *importance.units)] == [1.0] * 3


def test_the_part_that_is_scored_is_random_and_follows_from_the_seed(make_model, make_context):
    step, model = Gain(batch_size=16, examples=16), make_model()
    one, same, other = (step.run(State(model=model), make_context(seed=seed)).importance for seed in (1, 1, 2))
    assert one.units[0].equal(same.units[0])
    assert not one.units[0].equal(other.units[0])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("examples", 0), ("examples", -3)])
def test_refuses_counts_below_one(key, value):
    with pytest.raises(SecateurError, match=rf"^{key}={value}: must be at least 1"):
        Gain(**{"batch_size": 8, key: value})


def _looped(model: PreTrainedModel, task: Task, batch: Batch) -> PerGate:
    """Σ over examples of |∂L/∂γ|, one example and one backward pass at a time."""
    rows = ({name: _row(values, row) for name, values in batch.items()} for row in range(len(batch["input_ids"])))
    each = [_gate_gradients(model, task, row) for row in rows]
    summed = (
        [torch.stack(values).abs().sum(0) for values in zip(*(getattr(one, kind) for one in each), strict=True)]
        for kind in ("heads", "units")
    )
    return PerGate(heads=tuple(next(summed)), units=tuple(next(summed)))


def _gate_gradients(model: PreTrainedModel, task: Task, batch: Batch) -> PerGate:
    """∂L/∂γ at γ = 1 of the mean loss of a batch."""
    heads, units = structure_sizes(model)
    gates = PerGate(
        heads=tuple(torch.ones(count, requires_grad=True) for count in heads),
        units=tuple(torch.ones(count, requires_grad=True) for count in units),
    )
    with gated(model, gates):
        loss = task.forward(model, batch)["loss"]
    gradients = torch.autograd.grad(loss, [*gates.heads, *gates.units])
    return PerGate(heads=gradients[: len(heads)], units=gradients[len(heads) :])


def _row(values: Any, row: int) -> Any:
    """One example's share of what a batch holds; where [CLS] stands is the same for all."""
    return values[row : row + 1] if isinstance(values, torch.Tensor) else values
