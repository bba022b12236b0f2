"""What the teacher says of every training example: computed once per teacher and data set, read by all runs.

Shapes: N training examples, B of a batch, C classes (or positions) to choose from, V values stored in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.data.task_data import TaskData
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled, Task

HIGHEST = torch.finfo(torch.float16).max


class TeacherOutputs:
    """The teacher's distributions over the training split, read through a memory map.

    Of a distribution its log-probabilities are stored: their softmax is that of the logits at every temperature,
    and float16 is finest near 0, where the likely classes are. A log-probability below float16's -65504 is
    raised to it, which is still a probability of 0. Of a regression the values themselves are stored.

    An example takes, for each of its distributions, 2 bytes for each class that counts, and 16 for where they
    lie: 2 · (2 · 170 + 16) = 712 bytes for a QA window of 170 tokens (start and end), 22 for one of three classes.

    Args:
        folder: where :func:`write_teacher_outputs` left them.
    """

    def __init__(self, folder: Path) -> None:
        self._stored = [_Stored.open(path) for path in sorted(folder.glob("distribution-*"))]

    def read(self, items: Tensor, *, like: Sequence[Distilled]) -> list[Distilled]:
        """The teacher's side of a batch: float32, with the shapes, masks and device of the student's.

        Args:
            items: numbers of the training examples, (B,): the batch's ``items``.
            like: the student's distributions over the same batch.
        """
        numbers = items.cpu().numpy()
        return [stored.read(numbers, like=student) for stored, student in zip(self._stored, like, strict=True)]


def write_teacher_outputs(
    model: PreTrainedModel, task: Task, data: TaskData, *, trainer: pl.Trainer, folder: Path
) -> None:
    """Run the teacher over the training split, in evaluation mode, and write what it says to ``folder``.

    Everything is written after the pass (in memory it takes what it takes on disk), over whatever a process that
    died may have left.

    Raises:
        SecateurError: if outputs are no numbers, or values lie beyond float16's range; if the trainer's settings
            let it pass over a part of the examples only.
    """
    said = cast(list[_Said], trainer.predict(_TeacherModule(model.eval(), task), data.eval_loader("train")))
    items = np.concatenate([each.items for each in said])
    expected = len(data.examples["train"])
    if len(items) != expected:
        raise SecateurError(
            f"trainer: its settings let the teacher pass over {len(items)} of {expected} training examples; "
            "take fast_dev_run and limit_predict_batches out"
        )
    for number, distribution in enumerate(zip(*(each.distributions for each in said), strict=True)):
        values, sizes = (np.concatenate(parts) for parts in zip(*distribution, strict=True))
        _Stored.of(values, sizes, items).save(folder / f"distribution-{number:02d}")


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """One distribution of every example, those of neighbouring lengths beside each other, as they are read.

    Attributes:
        values: of the classes that count, float16 (V,).
        spans: first and last + 1 of each example's values, int64 (N, 2).
    """

    values: np.ndarray
    spans: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, sizes: np.ndarray, items: np.ndarray) -> _Stored:
        """From values (V,) that lie in the order of ``items`` (N,), ``sizes`` (N,) of each."""
        ends = sizes.cumsum()
        spans = np.empty((len(items), 2), dtype=np.int64)
        spans[items] = np.stack([ends - sizes, ends], axis=1)
        return cls(values=values, spans=spans)

    def save(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        np.save(folder / "values.npy", self.values, allow_pickle=False)
        np.save(folder / "spans.npy", self.spans, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> _Stored:
        # As a plain array over the map: slices of numpy's own class for it are several times as slow.
        values = np.asarray(np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False))
        return cls(values=values, spans=np.load(folder / "spans.npy", allow_pickle=False))

    def read(self, items: np.ndarray, *, like: Distilled) -> Distilled:
        values = np.concatenate([self.values[begin:end] for begin, end in self.spans[items].tolist()])
        logits_BC = torch.zeros_like(like.logits, dtype=torch.float32)
        logits_BC[like.counted()] = torch.from_numpy(values).to(logits_BC)
        return replace(like, logits=logits_BC)


class _Said(NamedTuple):
    """What the teacher says of one batch: the examples' numbers (B,), and of each distribution values and sizes."""

    items: np.ndarray
    distributions: list[tuple[np.ndarray, np.ndarray]]


class _TeacherModule(pl.LightningModule):
    """The teacher under a trainer, which decides on device and precision."""

    def __init__(self, model: PreTrainedModel, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def predict_step(self, batch: Batch) -> _Said:
        if self.trainer.received_sigterm:  # of all its loops, Lightning's prediction alone goes on to the end
            raise SIGTERMException
        distributions = self.task.distilled(self.task.forward(self.model, batch), batch)
        return _Said(batch["items"].cpu().numpy(), [_halved(distilled) for distilled in distributions])


def _halved(distilled: Distilled) -> tuple[np.ndarray, np.ndarray]:
    """What is stored of a batch, float16, the rows one after the other; and how many values are in each row, (B,)."""
    values_BC = distilled.logits.float() if distilled.is_value else distilled.log_probabilities().clamp(min=-HIGHEST)
    counted_BC = distilled.counted()
    values = values_BC[counted_BC]
    if not (values.abs() <= HIGHEST).all():  # true of NaN as well
        raise SecateurError(
            f"the teacher's outputs are no numbers, or beyond ±{HIGHEST:.0f}; set trainer.precision=32-true, "
            "or start from another model"
        )
    return values.half().cpu().numpy(), counted_BC.sum(-1).cpu().numpy()
