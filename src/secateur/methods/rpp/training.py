"""Proximal training under Lightning: the penalty never enters the loss, so that Adam's scaling does not distort it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.methods.rpp.shrinkage import Penalty, Shrinkage
from secateur.tasks.base import Task
from secateur.training.module import TrainingModule


class ProximalTraining(TrainingModule):
    """Trains all weights, and shrinks those of ``groups`` after each optimizer step."""

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        *,
        groups: list[list[torch.Tensor]],
        penalty: Penalty,
        **training: Any,
    ) -> None:
        super().__init__(model, task, **training)
        self.shrinkage = Shrinkage(penalty=penalty, groups=groups)
        self.step_sizes: list[float] = []

    def on_train_start(self) -> None:
        """Move a checkpoint's prices to the weights, and reject weights of too low precision to be shrunk."""
        super().on_train_start()
        self.shrinkage.bring_to_weights()
        if any(weight.dtype != torch.float32 for group in self.shrinkage.groups for weight in group):
            raise SecateurError(
                f"phase {self.name}: needs float32 weights; set trainer.precision=bf16-mixed or 32-true"
            )

    def configure_optimizers(self) -> Any:
        """The usual optimizer and schedule; the schedule gives the learning rates of all remaining steps."""
        configured = super().configure_optimizers()
        (share_of, *_) = configured["lr_scheduler"]["scheduler"].lr_lambdas
        steps = range(self.trainer.max_steps)
        self.step_sizes = [self.optimization.learning_rate * share_of(step) for step in steps]
        return configured

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, *arguments: Any, **options: Any) -> None:
        """The optimizer's step, then the proximal one."""
        step = self.trainer.global_step
        super().optimizer_step(epoch, batch_idx, optimizer, *arguments, **options)
        self.shrinkage.after_step(optimizer, step=step, step_sizes=self.step_sizes)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store prices and strengths, which are valid until the next reweighting."""
        checkpoint["shrinkage"] = self.shrinkage.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore prices and strengths."""
        self.shrinkage.load_state_dict(checkpoint["shrinkage"])
