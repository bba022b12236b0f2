"""Losses against a teacher.

Shapes: B examples of a batch, C classes (or positions) to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled, Task


class Distillation:
    """Weighs the task's own loss against the imitation of a teacher (Hinton et al., arXiv 1503.02531).

    Args:
        temperature: softens both distributions, > 0.
        alpha: weight of the imitation in [0, 1]; the task's own loss weighs 1 - alpha.
    """

    def __init__(self, *, temperature: float, alpha: float) -> None:
        if temperature <= 0:
            raise SecateurError(f"temperature={temperature}: must be above 0")
        if not 0 <= alpha <= 1:
            raise SecateurError(f"alpha={alpha}: must lie in [0, 1]")
        self.temperature = temperature
        self.alpha = alpha

    def loss(self, task_loss: Tensor, student: Sequence[Distilled], teacher: Sequence[Distilled]) -> Tensor:
        """(1 - alpha) · task loss + alpha · T² · KL, averaged over the distributions (start and end for QA)."""
        imitation = [
            kl_divergence(mine, theirs, temperature=self.temperature)
            for mine, theirs in zip(student, teacher, strict=True)
        ]
        return (1 - self.alpha) * task_loss + self.alpha * torch.stack(imitation).mean()


class DistilledObjective:
    """The loss of a student on the task and on its teacher's outputs.

    The teacher stands outside the student's module: it is not trained, not saved, and never in training mode.
    """

    def __init__(self, task: Task, teacher: PreTrainedModel, distillation: Distillation) -> None:
        self.task = task
        self.teacher = teacher.eval().requires_grad_(False)
        self.distillation = distillation

    def __call__(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """The mean loss of a batch."""
        outputs = self.task.forward(model, batch)
        with torch.no_grad():
            taught = self.task.forward(self.teacher.to(model.device), batch)
        return self.distillation.loss(
            outputs["loss"], self.task.distilled(outputs, batch), self.task.distilled(taught, batch)
        )


def kl_divergence(student: Distilled, teacher: Distilled, *, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) || softmax(student / T)), summed over classes, mean over the batch.

    Positions that do not count are left out of both distributions.
    """
    student_BC = _masked(student, temperature).log_softmax(-1)
    teacher_BC = _masked(teacher, temperature).log_softmax(-1)
    return temperature**2 * functional.kl_div(student_BC, teacher_BC, log_target=True, reduction="batchmean")


def _masked(distilled: Distilled, temperature: float) -> Tensor:
    logits_BC = distilled.logits.float() / temperature
    if distilled.mask is None:
        return logits_BC
    # A finite floor: its probability is exactly 0, and unlike -inf it leaves numbers where two are subtracted.
    return logits_BC.masked_fill(~distilled.mask, torch.finfo(torch.float32).min)
