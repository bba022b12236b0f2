"""Imitating the hidden states of the layers above the decomposed ones (DeFormer: Cao et al., arXiv 2005.00697).

Shapes: B sequences in a batch, L tokens, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from secateur.data.examples import Batch
from secateur.distillation.base import Distillation, Objective
from secateur.distillation.logits import imitation_of
from secateur.distillation.teacher import TeacherOutputs
from secateur.errors import SecateurError, check_above_zero
from secateur.structure.anatomy import layers_of
from secateur.structure.decomposition import layout_of, lower_layers_of
from secateur.structure.observing import layer_outputs
from secateur.tasks.base import Task


class RepresentationDistillation(Distillation):
    """γ · task loss + α · T² · KL + β · the mean squared difference of states, over real tokens and upper layers.

    The upper layers are those in which question and document attend to each other; in a model that is not decomposed,
    all layers. The teacher has the same number of layers and reads the same layout; it runs alongside the student,
    because its states are too large to store.

    Args:
        temperature: softens both distributions, > 0.
        gamma: weight of the task's own loss, 0 or more.
        alpha: weight of the imitation of the teacher's outputs, 0 or more.
        beta: weight of the imitation of its states, 0 or more.
    """

    needs_same_depth = True

    def __init__(self, *, temperature: float, gamma: float, alpha: float, beta: float) -> None:
        check_above_zero(temperature=temperature)
        for name, weight in (("gamma", gamma), ("alpha", alpha), ("beta", beta)):
            if weight < 0:
                raise SecateurError(f"{name}={weight}: must be 0 or more")
        if gamma == alpha == beta == 0:
            raise SecateurError("gamma=0: with alpha=0 and beta=0 there is nothing to learn; raise one of them")
        self.temperature = temperature
        self.gamma = gamma
        self.alpha = alpha
        self.beta = beta

    def objective(
        self, task: Task, *, teacher: Callable[[], PreTrainedModel], teacher_outputs: Callable[[], TeacherOutputs]
    ) -> Objective:
        """The loss on the task, on the teacher's outputs and on its upper layers."""
        model_of_teacher = teacher().eval()  # without dropout, unlike in the released code

        def mean_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
            check_comparable(model, model_of_teacher)
            outputs, mine = _observed(task, model, batch)
            nn.Module.to(model_of_teacher, model.device)
            with torch.no_grad():
                said, theirs = _observed(task, model_of_teacher, batch)
            logits = imitation_of(
                task.distilled(outputs, batch), task.distilled(said, batch), temperature=self.temperature
            )
            lower = lower_layers_of(model.config)
            distance = representation_distance(mine.above(lower), theirs.above(lower), mask_BL=task.real_tokens(batch))
            return self.gamma * outputs["loss"] + self.alpha * logits + self.beta * distance

        return mean_loss


def check_comparable(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """Reject a student whose layers or tokens do not correspond to its teacher's.

    Raises:
        SecateurError: if they differ in depth or layout.
    """
    depths = [len(layers_of(model)) for model in (student, teacher)]
    layouts = [layout_of(model.config) for model in (student, teacher)]
    if depths[0] != depths[1] or layouts[0] != layouts[1]:
        raise SecateurError(
            f"distillation=representation: the student has {depths[0]} layers and reads {layouts[0]} inputs, the "
            f"teacher {depths[1]} and {layouts[1]}; use distillation=logits"
        )


def representation_distance(student: Sequence[Tensor], teacher: Sequence[Tensor], *, mask_BL: Tensor) -> Tensor:
    """Mean, over layers, of the mean squared difference of their states at unmasked tokens; a scalar.

    Args:
        student, teacher: states (B, L, D), or (B, D) for the pooler's output.
        mask_BL: the tokens to compare, bool (B, L); a sequence without any is ignored, also in the pooler's output.
    """
    if not student:
        return mask_BL.new_zeros((), dtype=torch.float32)
    distances = []
    for mine, theirs in zip(student, teacher, strict=True):
        counted = mask_BL if mine.ndim == 3 else mask_BL.any(dim=-1)
        distances.append(functional.mse_loss(mine[counted].float(), theirs[counted].float()))
    return torch.stack(distances).mean()


class _States:
    """The outputs of the layers in one pass, in the order in which they ran, and the pooler's output."""

    def __init__(self) -> None:
        self.layers_BLD: list[Tensor] = []
        self.pooled_BD: list[Tensor] = []

    def above(self, lower_layers: int) -> list[Tensor]:
        """The outputs of the layers above the first ``lower_layers``, and the pooler's."""
        return [*self.layers_BLD[lower_layers:], *self.pooled_BD]


def _observed(task: Task, model: PreTrainedModel, batch: Batch) -> tuple[ModelOutput, _States]:
    states = _States()
    with layer_outputs(model) as states.layers_BLD, _pooled(model, states.pooled_BD):
        return task.forward(model, batch), states


@contextmanager
def _pooled(model: PreTrainedModel, found: list[Tensor]) -> Iterator[None]:
    """Collects the pooler's output, if the architecture and the task have a pooler."""
    pooler: Any = getattr(model.base_model, "pooler", None)
    if pooler is None:
        yield
        return
    with pooler.register_forward_hook(lambda _module, _inputs, output: found.append(output)):
        yield
