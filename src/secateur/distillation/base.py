"""The interface of all distillation losses, used by the phases that train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation.teacher import TeacherOutputs
from secateur.tasks.base import Task

# The mean loss of a batch, given the model being trained.
Objective = Callable[[PreTrainedModel, Batch], Tensor]


class Distillation(ABC):
    """A loss against a teacher, built from settings alone.

    Class attributes:
        reads_stored: the teacher's outputs are stored before training, which requires inputs that stay the same.
        needs_same_depth: each layer is compared with the teacher's layer of the same index.
    """

    reads_stored: ClassVar[bool] = False
    needs_same_depth: ClassVar[bool] = False

    @abstractmethod
    def objective(
        self, task: Task, *, teacher: Callable[[], PreTrainedModel], teacher_outputs: Callable[[], TeacherOutputs]
    ) -> Objective:
        """The loss of a phase.

        Args:
            task: the task that the student is trained on.
            teacher: loads the model to imitate, in evaluation mode on the CPU.
            teacher_outputs: its outputs for every training example, computed by the first run that needs them.

        Returns:
            A function of the student and a batch.
        """
