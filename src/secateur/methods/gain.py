"""Importance of heads and FFN units by their gradient, per example.

The gain of a gate γ is E_x |∂L(x)/∂γ| at γ = 1 (McCarley et al., arXiv 1910.06360, section 3.2, item 2; after Michel et
al., arXiv 1905.10650, section 4.1). A gate multiplies the input x of an output projection, so ∂L/∂γ = Σ over tokens of
x · ∂L/∂x: one backward pass gives it for every example of a batch, without any actual gate.

Shapes: B examples in a batch, S sequences (one per example; in multiple choice one per option), L tokens, F features of
a projection's input, H heads, U units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.errors import SecateurError, check_at_least_one
from secateur.methods.base import Context, State, Step
from secateur.structure.anatomy import anatomy_of, head_size_of, layers_of
from secateur.structure.gates import PerGate
from secateur.tasks.base import Task
from secateur.training.module import frozen


class Gain(Step):
    """Score every head and FFN unit by its gain over the training data.

    Args:
        batch_size: examples per backward pass.
        examples: number of training examples to score on, drawn at random and rounded up to complete batches; None
            takes all.
    """

    changes_model = False
    gives = ("importance",)

    def __init__(self, *, batch_size: int, examples: int | None = None, evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        check_at_least_one(batch_size=batch_size)
        if examples is not None and examples < 1:
            raise SecateurError(f"examples={examples}: must be at least 1, or null for all")
        self.examples = examples
        self.batch_size = batch_size

    def run(self, state: State, context: Context) -> State:
        """One pass over the training data, or a random part of it, without dropout."""
        loader = context.data.train_loader(batch_size=self.batch_size, seed=context.seed)
        device = context.make_trainer(folder=context.folder, alone=True).strategy.root_device
        model = state.model.eval().to(device)
        total: PerGate | None = None
        for _, batch in zip(range(self._batches(context)), loader, strict=False):
            gain = batch_gain(model, context.task, batch)
            total = gain if total is None else _add(total, gain)
        assert total is not None, "every split has an example"
        return dataclasses.replace(state, importance=_divided(total, self.examples_seen(context)))

    def examples_seen(self, context: Context) -> int:
        """The number of examples that are scored on, rounded up to complete batches."""
        return min(self._batches(context) * self.batch_size, len(context.data.examples["train"]))

    def _batches(self, context: Context) -> int:
        available = len(context.data.examples["train"])
        asked = available if self.examples is None else min(self.examples, available)
        return -(-asked // self.batch_size)


def batch_gain(model: PreTrainedModel, task: Task, batch: Batch) -> PerGate:
    """Σ over the examples of a batch of |∂L(x)/∂γ| for each gate γ, float32 on the CPU: (H,) and (U,) for each layer.

    Taking the absolute value only after summing over a batch, as some scripts do, lets the gradients of different
    examples cancel.
    """
    batch = move_data_to_device(batch, model.device)
    anatomy = anatomy_of(model.config)
    with frozen(model.parameters()), ExitStack() as hooks:
        heads = [
            hooks.enter_context(_observed(layer.get_submodule(anatomy.attention_output))) for layer in layers_of(model)
        ]
        units = [hooks.enter_context(_observed(layer.get_submodule(anatomy.down))) for layer in layers_of(model)]
        # The weights are frozen, so the gradient has to start at the embeddings' output.
        hooks.enter_context(_requiring_grad(model.base_model.get_submodule(anatomy.embeddings)))
        # The loss is a mean over the batch; for the sum, each example's sequences get its own gradient.
        examples = len(batch["input_ids"])
        loss = task.forward(model, batch)["loss"] * examples
        loss.backward()
    head_size = head_size_of(model.config)
    return PerGate(
        heads=tuple(_absolute_sum(found, examples=examples, group=head_size) for found in heads),
        units=tuple(_absolute_sum(found, examples=examples, group=1) for found in units),
    )


def _absolute_sum(found: list[Tensor], *, examples: int, group: int) -> Tensor:
    """Σ_B |Σ over an example's sequences and ``group`` neighbouring features| of the observed products (S, F).

    There is one product, or one each for question and document if the layer reads them separately; the same gate
    scales both.
    """
    product_BF = torch.stack(found).sum(0).unflatten(0, (examples, -1)).sum(1)
    return product_BF.unflatten(-1, (-1, group)).sum(-1).abs().sum(0).cpu()


@contextmanager
def _observed(projection: nn.Module) -> Iterator[list[Tensor]]:
    """Collect Σ over tokens of x · ∂L/∂x at the projection's input, (S, F), from the backward pass."""
    found: list[Tensor] = []

    def keep(input_SLF: Tensor, gradient_SLF: Tensor) -> None:
        found.append((input_SLF * gradient_SLF).float().sum(1))

    def watch(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        inputs[0].register_hook(partial(keep, inputs[0].detach()))

    with projection.register_forward_pre_hook(watch):
        yield found


@contextmanager
def _requiring_grad(embeddings: nn.Module) -> Iterator[None]:
    def require(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return output.requires_grad_()

    with embeddings.register_forward_hook(require):
        yield


def _add(one: PerGate, other: PerGate) -> PerGate:
    return PerGate(
        heads=tuple(map(torch.add, one.heads, other.heads)),
        units=tuple(map(torch.add, one.units, other.units)),
    )


def _divided(total: PerGate, count: int) -> PerGate:
    heads, units = (tuple(each / count for each in layers) for layers in (total.heads, total.units))
    return PerGate(heads=heads, units=units)
