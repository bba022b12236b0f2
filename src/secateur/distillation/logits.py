"""Imitating a teacher's output distributions (Hinton et al., arXiv 1503.02531).

Shapes: B examples in a batch, C classes (or positions) to choose from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation.base import Distillation, Objective
from secateur.distillation.teacher import TeacherOutputs
from secateur.errors import SecateurError, check_above_zero
from secateur.tasks.base import Distilled, Task


class LogitsDistillation(Distillation):
    """Weighs the task's own loss against imitation of the teacher's outputs, which are read from disk, not computed.

    Args:
        temperature: softens both distributions, > 0.
        alpha: weight of the imitation in [0, 1]; the task's own loss weighs 1 - alpha.
    """

    reads_stored: ClassVar[bool] = True

    def __init__(self, *, temperature: float, alpha: float) -> None:
        check_above_zero(temperature=temperature)
        if not 0 <= alpha <= 1:
            raise SecateurError(f"alpha={alpha}: must lie in [0, 1]")
        self.temperature = temperature
        self.alpha = alpha

    def objective(
        self, task: Task, *, teacher: Callable[[], PreTrainedModel], teacher_outputs: Callable[[], TeacherOutputs]
    ) -> Objective:
        """The loss on the task and on the stored teacher outputs."""
        stored = teacher_outputs()

        def mean_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
            outputs = task.forward(model, batch)
            student = task.distilled(outputs, batch)
            return self.loss(outputs["loss"], student, stored.read(batch["items"], like=student))

        return mean_loss

    def loss(self, task_loss: Tensor, student: Sequence[Distilled], teacher: Sequence[Distilled]) -> Tensor:
        """(1 - alpha) · task loss + alpha · T² · KL; see :func:`imitation_of`."""
        imitation = imitation_of(student, teacher, temperature=self.temperature)
        return (1 - self.alpha) * task_loss + self.alpha * imitation


def imitation_of(student: Sequence[Distilled], teacher: Sequence[Distilled], *, temperature: float) -> Tensor:
    """T² · KL, averaged over the distributions (start and end for QA); a scalar.

    Regression values have no temperature; for them the mean squared error takes its place.
    """
    imitation = [
        mean_squared_error(mine, theirs) if mine.is_value else kl_divergence(mine, theirs, temperature=temperature)
        for mine, theirs in zip(student, teacher, strict=True)
    ]
    return torch.stack(imitation).mean()


def kl_divergence(student: Distilled, teacher: Distilled, *, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) || softmax(student / T)), summed over classes, averaged over the batch; a scalar.

    Masked positions are left out of both distributions. Logits are (B, C).
    """
    student_BC = student.log_probabilities(temperature=temperature)
    teacher_BC = teacher.log_probabilities(temperature=temperature)
    return temperature**2 * functional.kl_div(student_BC, teacher_BC, log_target=True, reduction="batchmean")


def mean_squared_error(student: Distilled, teacher: Distilled) -> Tensor:
    """Mean squared difference over the batch and the unmasked values; a scalar."""
    counted_BC = student.counted()
    return functional.mse_loss(student.logits[counted_BC].float(), teacher.logits[counted_BC].float())
