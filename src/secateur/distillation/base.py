"""What every way of imitating a teacher offers to the phases that train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation.teacher import TeacherOutputs
from secateur.tasks.base import Task

# The mean loss of a batch, given the model that is trained.
Objective = Callable[[PreTrainedModel, Batch], Tensor]


class Distillation(ABC):
    """A loss against a teacher, built from settings alone.

    Class attributes:
        reads_stored: what the teacher says was stored before training, which needs inputs that stay the same.
        needs_same_depth: each layer is compared with the teacher's of the same number.
    """

    reads_stored: ClassVar[bool] = False
    needs_same_depth: ClassVar[bool] = False

    @abstractmethod
    def objective(
        self, task: Task, *, teacher: Callable[[], PreTrainedModel], teacher_outputs: Callable[[], TeacherOutputs]
    ) -> Objective:
        """The loss of a phase.

        Args:
            teacher: loads the model to imitate, in evaluation mode on the CPU.
            teacher_outputs: what it says of every training example, computed by the first run that asks.
        """


def real_tokens(batch: Batch) -> Tensor:
    """The tokens (B, L) that a loss on states may count: no padding, and none of options that are none.

    Options that fill up an example to as many as another has are special tokens alone; choices are sequences here.
    """
    mask_BL = batch["attention_mask"].flatten(0, -2).bool()
    return mask_BL & batch["option_mask"].reshape(-1, 1) if "option_mask" in batch else mask_BL
