"""Gate training under Lightning: the objective that gates the model, and the module that steps the gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.methods.l0.gates import HardConcreteGates
from secateur.methods.l0.penalty import Price, Target
from secateur.structure.gating import gated
from secateur.tasks.base import Task
from secateur.training.module import Optimization, TrainingModule, decay_groups


class GatedObjective(nn.Module):
    """The loss under gates sampled once for the batch, plus the cost of open gates (McCarley et al., eq. 3)."""

    def __init__(
        self,
        gates: HardConcreteGates,
        penalty: Price | Target,
        objective: Callable[[PreTrainedModel, Batch], Tensor],
    ) -> None:
        super().__init__()
        self.gates = gates
        self.penalty = penalty
        self.objective = objective
        self.progress = 0.0  # completed share of the phase, a function of trainer.global_step only

    def forward(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """The objective in nats, a scalar."""
        with gated(model, self.gates.sample()):
            loss = self.objective(model, batch)
        return loss + self.penalty(self.gates.open_fraction(), progress=self.progress)

    @torch.no_grad()
    def after_step(self, *, learning_rate: float) -> None:
        """Clamp α and update the penalty, after each optimizer step of the gates."""
        self.gates.clamp_()
        self.penalty.update(self.gates.open_fraction(), progress=self.progress, learning_rate=learning_rate)


# Adam moves an α by about its learning rate per step, and it starts about 7 away from where its gate is closed with
# certainty: if a phase's steps add up to little more than that, gates have not closed when their target stops growing.
_TRAVEL = 20.0
_LOWEST_RATE = 0.03  # in longer phases, a higher rate would close gates that never get another chance to open


class GateTraining(TrainingModule):
    """Trains gates, and also the weights if they are not frozen.

    Args:
        model, task, name: as for :class:`secateur.training.module.TrainingModule`.
        objective: the loss under gates.
        optimization: for the model's weights; the learning rate has no schedule.
        train_weights: whether the weights are trained; frozen ones get no gradient.
        dropout: whether the model's own dropout is on.
        gate_learning_rate: learning rate of α, which has no weight decay; None: higher the shorter the phase.
    """

    objective: GatedObjective

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        *,
        name: str,
        objective: GatedObjective,
        optimization: Optimization,
        train_weights: bool,
        dropout: bool,
        gate_learning_rate: float | None,
    ) -> None:
        super().__init__(model, task, name=name, objective=objective, optimization=optimization)
        self.train_weights = train_weights
        self.dropout = dropout
        self._gate_learning_rate = gate_learning_rate

    @property
    def gate_learning_rate(self) -> float:
        """The learning rate of α; requires a trainer, which knows the number of steps in the phase."""
        return self._gate_learning_rate or max(_LOWEST_RATE, _TRAVEL / self.trainer.max_steps)

    def train(self, mode: bool = True) -> GateTraining:
        """Training mode for the gates; for the model only if its dropout is wanted."""
        super().train(mode)
        self.model.train(mode and self.dropout)
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Update the objective's progress through the phase."""
        self.objective.progress = self.trainer.global_step / self.trainer.max_steps

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """The optimizer's step, followed by the objective's update."""
        super().optimizer_step(*arguments, **options)
        self.objective.after_step(learning_rate=self.gate_learning_rate)

    def on_train_batch_end(self, *_: Any) -> None:
        """Log how open the gates are."""
        for kind, fraction in zip(self.objective.gates.kinds, self.objective.gates.open_fraction(), strict=True):
            self.log(f"train/open_{kind}", fraction.detach(), prog_bar=True)

    def validation_step(self, batch: Batch) -> None:
        """Score ``val`` under the gates used at test time."""
        with gated(self.model, self.objective.gates.deterministic()):
            super().validation_step(batch)

    def configure_optimizers(self) -> Any:
        """AdamW without a schedule: gates that overshoot must be able to recover, also near the end."""
        return AdamW(self.parameter_groups(), lr=self.gate_learning_rate, fused=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Gates, and weights unless they are frozen, each with their own learning rate."""
        groups = [{"params": list(self.objective.gates.parameters()), "weight_decay": 0.0}]
        if self.train_weights:
            for group in decay_groups(self.model.parameters(), weight_decay=self.optimization.weight_decay):
                groups.append({**group, "lr": self.optimization.learning_rate})
        return groups

    def configure_gradient_clipping(self, *arguments: Any, **options: Any) -> None:
        """Clip gradients only if weights are trained: for gates, Adam's step does not depend on the gradient's size."""
        if self.train_weights:
            super().configure_gradient_clipping(*arguments, **options)
