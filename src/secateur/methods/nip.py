"""New iterative pruning: masks that grow during training, the baseline of Guo et al. (arXiv 1909.12486).

Its exact schedule is not known; this one is cubic (Zhu, Gupta: To prune, or not to prune, arXiv 1710.01878).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.methods.base import Context, State
from secateur.methods.phase import Phase
from secateur.methods.ranking import Amount, Matrices
from secateur.structure.fixed_zeros import apply_masks, declare_fixed_zeros
from secateur.tasks.base import Task
from secateur.training.module import TrainingModule

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ramp:
    """How sparsity grows (Zhu and Gupta, arXiv 1710.01878, eq. 1).

    After t of T optimizer steps, the sparsity is

        s_t = s_f + (s_i - s_f) · (1 - (t/T - start) / (end - start))³,    start ≤ t/T ≤ end,

    where s_i is the model's sparsity at the start of the phase and s_f the target; before ``start`` it is s_i, after
    ``end`` it is s_f. A new mask is made every ``update_every`` steps.

    Attributes:
        update_every: optimizer steps from one mask to the next, at least 1; the last step also makes a mask.
        start, end: shares of the phase between which sparsity grows, 0 <= start < end <= 1.
    """

    update_every: int
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.update_every < 1:
            raise SecateurError(f"update_every={self.update_every}: must be at least 1 optimizer step")
        if not 0 <= self.start < self.end <= 1:
            raise SecateurError(f"ramp_start={self.start}: must lie below ramp_end={self.end}, and both in [0, 1]")

    def is_due(self, done: int, steps: int) -> bool:
        """Whether a mask is made after ``done`` of ``steps`` steps."""
        return done % self.update_every == 0 or done == steps

    def grown(self, progress: float) -> float:
        """(s_t - s_i) / (s_f - s_i) at t/T = ``progress``, in [0, 1] (Zhu and Gupta, eq. 1)."""
        along = (progress - self.start) / (self.end - self.start)
        return 1 - (1 - min(1.0, max(0.0, along))) ** 3


class GradualTraining(TrainingModule):
    """Trains all weights except those closed by a growing mask; what it closes stays closed."""

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        *,
        matrices: Matrices,
        amount: Amount,
        ramp: Ramp,
        seed: int,
        **training: Any,
    ) -> None:
        super().__init__(model, task, **training)
        self.matrices = matrices
        self.amount = amount
        self.ramp = ramp
        self.seed = seed
        target = amount.target
        self.initial_share = min(1.0, matrices.sparsity / target) if target else 1.0

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, *arguments: Any, **options: Any) -> None:
        """The optimizer's step, followed by a new mask if one is due."""
        done, steps = self.trainer.global_step + 1, self.trainer.max_steps
        super().optimizer_step(epoch, batch_idx, optimizer, *arguments, **options)
        if self.ramp.is_due(done, steps):
            grown = self.ramp.grown(done / steps)
            self._close(optimizer, share=self.initial_share + (1 - self.initial_share) * grown)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the masks, which are valid until the next update."""
        checkpoint["masks"] = {name: mask.bool() for name, mask in self.masks.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the masks; they are moved to the weights' device when training starts."""
        self.masks = checkpoint["masks"]

    @torch.no_grad()
    def _close(self, optimizer: Any, *, share: float) -> None:
        """Zero the closed weights and their Adam moments, so that masking gradients is enough from now on."""
        masks = self.amount.masks(self.matrices.weights, seed=self.seed, share=share)
        for (name, weight), mask in zip(self.matrices.by_name.items(), masks, strict=True):
            # Zeros stay masked, even if the matrix has more of them than its share.
            self.masks[name] = mask.to(weight) * (weight != 0)
        weights = list(self.matrices.by_name.values())
        states = [optimizer.state[weight] for weight in weights]
        for tensors in (weights, *([state[moment] for state in states] for moment in MOMENTS)):
            apply_masks(tensors, [self.masks[name] for name in self.matrices.by_name])


class Gradual(Phase):
    """Prune by magnitude, gradually, while the model trains on the task.

    Args:
        amount: how many weights to zero in the end, and which.
        update_every, ramp_start, ramp_end: see :class:`Ramp`.
        include: further matrices besides those of the encoder's layers, by name from the base model, with ``*`` for a
            layer's index.
        training: as in :class:`secateur.methods.phase.Phase`.
    """

    def __init__(
        self,
        *,
        amount: Amount,
        update_every: int,
        ramp_start: float,
        ramp_end: float,
        include: Sequence[str] = (),
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.amount = amount
        self.ramp = Ramp(update_every=update_every, start=ramp_start, end=ramp_end)
        self.include = tuple(include)
        self.zeros = amount.sparsity

    def run(self, state: State, context: Context) -> State:
        """Train and prune.

        Raises:
            SecateurError: if the model is already sparser, or lacks a matrix to include.
        """
        matrices = Matrices(state.model, include=self.include)
        if self.amount.sparsity is not None:
            matrices.check_target(self.amount.sparsity)
        module = GradualTraining(
            state.model,
            context.task,
            matrices=matrices,
            amount=self.amount,
            ramp=self.ramp,
            seed=context.seed,
            **self.training(context),
        )
        after = self.trained(module, context)
        declare_fixed_zeros(after.model, matrices.patterns)
        return dataclasses.replace(after, details={"zeroed": matrices.sparsity})
