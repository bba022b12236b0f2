"""Patient distillation: imitates the teacher's layers in addition to its outputs (Sun et al., arXiv 1908.09355).

Shapes: B sequences in a batch, L tokens, D features, N unmasked tokens.
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
    """(1 - α) · task loss + α · T² · KL + β · the distance between normalised hidden states (section 3.2).

    The teacher runs alongside the student, because its states are too large to store; this adds the cost of a third of
    a training step of the teacher.

    Args:
        temperature, alpha: as in :class:`secateur.distillation.logits.LogitsDistillation`.
        beta: weight of the distance, 0 or more; 10 to 1000 in the paper.
        layers: "skip" compares with every n/k-th of the teacher's n layers, for k student layers; "last" with its last
            layers.
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
            if not task.answers_by_token:  # if it does, [CLS] alone carries no answer
                mask_BL = cls_alone(mask_BL, position=batch["cls_position"])
            distance = patient_distance(mine_BLD, theirs_BLD, layers=self.layers, mask_BL=mask_BL)
            return imitation + self.beta * distance

        return mean_loss


def cls_alone(mask_BL: Tensor, *, position: int) -> Tensor:
    """The mask (B, L) reduced to the [CLS] token of each sequence, at ``position``."""
    cls_BL = torch.zeros_like(mask_BL)
    cls_BL[:, position] = mask_BL[:, position]
    return cls_BL


def patient_distance(student: Sequence[Tensor], teacher: Sequence[Tensor], *, layers: str, mask_BL: Tensor) -> Tensor:
    """Mean, over all student layers but the last, of ||h_s / ||h_s|| - h_t / ||h_t|| ||² (equation 7); a scalar.

    Args:
        student, teacher: layer outputs (B, L, D), one per layer.
        layers: which of the teacher's layers to compare with; see :func:`imitated_layers`.
        mask_BL: the tokens to compare, bool (B, L).
    """
    pairs = zip(student, imitated_layers(len(student), len(teacher), layers=layers), strict=False)
    distances = [_distance(mine_BLD[mask_BL], teacher[number][mask_BL]) for mine_BLD, number in pairs]
    return torch.stack(distances).mean() if distances else student[-1].new_zeros(())


def imitated_layers(student: int, teacher: int, *, layers: str) -> list[int]:
    """The index of the teacher layer (from 0) that each student layer but the last is compared with.

    Args:
        student, teacher: numbers of layers, k and n.
        layers: "skip" or "last"; see :class:`PatientDistillation`.
    """
    if layers == "last":
        return [teacher - student + number for number in range(student - 1)]
    # If n is not a multiple of k, rounded like the ends of Theseus' modules.
    return [(number + 1) * teacher // student - 1 for number in range(student - 1)]


def _distance(mine_ND: Tensor, theirs_ND: Tensor) -> Tensor:
    """Mean over N tokens of the squared distance between two unit vectors."""
    difference = functional.normalize(mine_ND.float(), dim=-1) - functional.normalize(theirs_ND.float(), dim=-1)
    return difference.square().sum(-1).mean()
