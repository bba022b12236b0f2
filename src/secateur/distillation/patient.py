"""Patient distillation: the teacher's layers are imitated beside its outputs (Sun et al., arXiv 1908.09355).

Shapes: B sequences of a batch, L tokens, D features, N tokens that count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation.base import Distillation, Objective
from secateur.distillation.logits import LogitsDistillation
from secateur.distillation.teacher import TeacherOutputs
from secateur.errors import SecateurError
from secateur.structure.observing import layer_outputs
from secateur.tasks.base import Task

LAYERS = ("skip", "last")


class PatientDistillation(Distillation):
    """(1 - α) · task loss + α · T² · KL + β · the distance between states of the layers, normalised (section 3.2).

    The teacher runs beside the student, since states are too large to be kept: a third of a training step of its own.

    Args:
        temperature, alpha: as in :class:`secateur.distillation.logits.LogitsDistillation`.
        beta: weight of the distance, 0 or more; 10 to 1000 in the paper.
        layers: "skip" compares with every n/k-th of the teacher's layers, "last" with its last ones.
    """

    def __init__(self, *, temperature: float, alpha: float, beta: float, layers: str = "skip") -> None:
        self.logits = LogitsDistillation(temperature=temperature, alpha=alpha)
        if beta < 0:
            raise SecateurError(f"beta={beta}: must be 0 or more")
        if layers not in LAYERS:
            raise SecateurError(f"layers={layers}: must be one of {', '.join(LAYERS)}")
        self.beta = beta
        self.layers = layers

    def objective(
        self, task: Task, *, teacher: Callable[[], PreTrainedModel], teacher_outputs: Callable[[], TeacherOutputs]
    ) -> Objective:
        """The loss on the task, on the teacher's outputs and on its layers."""
        model_of_teacher = teacher().eval()

        def mean_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
            with layer_outputs(model) as mine_BLD:
                outputs = task.forward(model, batch)
            nn.Module.to(model_of_teacher, model.device)
            with torch.no_grad(), layer_outputs(model_of_teacher) as theirs_BLD:
                said = task.forward(model_of_teacher, batch)
            imitation = self.logits.loss(outputs["loss"], task.distilled(outputs, batch), task.distilled(said, batch))
            mask_BL = task.real_tokens(batch)
            if not task.answers_by_token:  # one that does says nothing with [CLS] alone
                mask_BL = cls_alone(mask_BL, position=batch["cls_position"])
            distance = patient_distance(mine_BLD, theirs_BLD, layers=self.layers, mask_BL=mask_BL)
            return imitation + self.beta * distance

        return mean_loss


def cls_alone(mask_BL: Tensor, *, position: int) -> Tensor:
    """Of the tokens that count, [CLS] of each sequence."""
    cls_BL = torch.zeros_like(mask_BL)
    cls_BL[:, position] = mask_BL[:, position]
    return cls_BL


def patient_distance(student: Sequence[Tensor], teacher: Sequence[Tensor], *, layers: str, mask_BL: Tensor) -> Tensor:
    """Mean, over the student's layers but the last, of ||h_s / ||h_s|| - h_t / ||h_t|| ||² (equation 7).

    Args:
        student, teacher: outputs of the layers (B, L, D), as many as each has.
        layers: which of the teacher's; see :func:`imitated_layers`.
        mask_BL: the tokens that count.
    """
    pairs = zip(student, imitated_layers(len(student), len(teacher), layers=layers), strict=False)
    distances = [_distance(mine_BLD[mask_BL], teacher[number][mask_BL]) for mine_BLD, number in pairs]
    return torch.stack(distances).mean() if distances else student[-1].new_zeros(())


def imitated_layers(student: int, teacher: int, *, layers: str) -> list[int]:
    """Which of the ``teacher``'s layers (from 0) each of the ``student``'s but the last compares with."""
    if layers == "last":
        return [teacher - student + number for number in range(student - 1)]
    # Where n is no multiple of k, rounded as the ends of Theseus' modules are.
    return [(number + 1) * teacher // student - 1 for number in range(student - 1)]


def _distance(mine_ND: Tensor, theirs_ND: Tensor) -> Tensor:
    """Mean over N tokens of the squared distance of two directions."""
    difference = functional.normalize(mine_ND.float(), dim=-1) - functional.normalize(theirs_ND.float(), dim=-1)
    return difference.square().sum(-1).mean()
