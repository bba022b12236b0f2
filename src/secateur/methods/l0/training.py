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
    """The loss under gates sampled once for the batch, and what open gates cost (McCarley et al., eq. 3)."""

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
        self.progress = 0.0  # share of the phase that is over, a function of trainer.global_step alone

    def forward(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Nats."""
        with gated(model, self.gates.sample()):
            loss = self.objective(model, batch)
        return loss + self.penalty(self.gates.open_fraction(), progress=self.progress)

    @torch.no_grad()
    def after_step(self, *, learning_rate: float) -> None:
        """What follows each optimizer step of the gates."""
        self.gates.clamp_()
        self.penalty.update(self.gates.open_fraction(), progress=self.progress, learning_rate=learning_rate)


# Adam moves an α by about its learning rate in a step, and it is some 7 from where it begins to where its gate is
# surely closed: where a phase's steps add up to little more, gates have not closed before their target stands still.
_TRAVEL = 20.0
_LOWEST_RATE = 0.03  # in longer phases more of it closes gates that are never given another chance


class GateTraining(TrainingModule):
    """Trains gates, and the weights beside them where they are not frozen.

    Args:
        optimization: of the model's weights, at a learning rate without a schedule.
        train_weights: whether they are trained; frozen ones take no gradient.
        dropout: whether the model's own dropout is on.
        gate_learning_rate: of α, which never decays; None: as high as the phase is short.
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
        """Of α, once there is a trainer that knows how many steps the phase has."""
        return self._gate_learning_rate or max(_LOWEST_RATE, _TRAVEL / self.trainer.max_steps)

    def train(self, mode: bool = True) -> GateTraining:
        """Training mode for the gates; for the model only where its dropout is wanted."""
        super().train(mode)
        self.model.train(mode and self.dropout)
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Tell the objective the time."""
        self.objective.progress = self.trainer.global_step / self.trainer.max_steps

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """The optimizer's step, and what follows it."""
        super().optimizer_step(*arguments, **options)
        self.objective.after_step(learning_rate=self.gate_learning_rate)

    def on_train_batch_end(self, *_: Any) -> None:
        """Log how open the gates are."""
        for kind, fraction in zip(self.objective.gates.kinds, self.objective.gates.open_fraction(), strict=True):
            self.log(f"train/open_{kind}", fraction.detach(), prog_bar=True)

    def validation_step(self, batch: Batch) -> None:
        """Score ``val`` under the gates as they are at test time."""
        with gated(self.model, self.objective.gates.deterministic()):
            super().validation_step(batch)

    def configure_optimizers(self) -> Any:
        """AdamW without a schedule: gates that overshoot must be able to come back, also towards the end."""
        return AdamW(self.parameter_groups(), lr=self.gate_learning_rate, fused=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Gates, and weights unless they are frozen, each with a learning rate of their own."""
        groups = [{"params": list(self.objective.gates.parameters()), "weight_decay": 0.0}]
        if self.train_weights:
            for group in decay_groups(self.model.parameters(), weight_decay=self.optimization.weight_decay):
                groups.append({**group, "lr": self.optimization.learning_rate})
        return groups

    def configure_gradient_clipping(self, *arguments: Any, **options: Any) -> None:
        """Gates alone are not clipped: Adam's step does not go by the size of their gradient."""
        if self.train_weights:
            super().configure_gradient_clipping(*arguments, **options)
