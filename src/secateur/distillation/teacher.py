"""The teacher's outputs for every training example: computed once per teacher and data set, read by all runs.

Shapes: N training examples, B in a batch, C classes (or positions) to choose from, V stored values in total.
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

    Distributions are stored as log-probabilities: at every temperature, their softmax equals that of the logits, and
    float16 is most precise near 0, where the likely classes are. Log-probabilities below float16's minimum of -65504
    are raised to it, which is still a probability of 0. For regression, the values themselves are stored.

    For each of its distributions, an example takes 2 bytes for each unmasked class, and 16 for their position in the
    file: 2 · (2 · 170 + 16) = 712 bytes for a QA window of 170 tokens (start and end), 22 for one with three classes.

    Args:
        folder: where :func:`write_teacher_outputs` wrote them.
    """

    def __init__(self, folder: Path) -> None:
        self._stored = [_Stored.open(path) for path in sorted(folder.glob("distribution-*"))]

    def read(self, items: Tensor, *, like: Sequence[Distilled]) -> list[Distilled]:
        """The teacher's distributions for a batch: float32 (B, C), with the masks and device of the student's.

        Args:
            items: indices of the training examples, (B,): the batch's ``items``.
            like: the student's distributions over the same batch.
        """
        numbers = items.cpu().numpy()
        return [stored.read(numbers, like=student) for stored, student in zip(self._stored, like, strict=True)]


def write_teacher_outputs(
    model: PreTrainedModel, task: Task, data: TaskData, *, trainer: pl.Trainer, folder: Path
) -> None:
    """Run the teacher over the training split, in evaluation mode, and write its outputs to ``folder``.

    Everything is written after the pass (until then it takes as much memory as later disk space), over whatever an
    interrupted process may have left.

    Args:
        model: the teacher.
        task: its task.
        data: the data with the training split.
        trainer: runs the pass.
        folder: where to write.

    Raises:
        SecateurError: if outputs are not finite, or values are beyond float16's range; if the trainer's settings
            restrict the pass to some of the examples.
    """
    said = cast(list[_Said], trainer.predict(_TeacherModule(model.eval(), task), data.eval_loader("train")))
    items = np.concatenate([each.items for each in said])
    expected = len(data.examples["train"])
    if len(items) != expected:
        raise SecateurError(
            f"trainer: its settings restrict the teacher to {len(items)} of {expected} training examples; "
            "remove fast_dev_run and limit_predict_batches"
        )
    for number, distribution in enumerate(zip(*(each.distributions for each in said), strict=True)):
        values, sizes = (np.concatenate(parts) for parts in zip(*distribution, strict=True))
        _Stored.of(values, sizes, items).save(folder / f"distribution-{number:02d}")


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """One distribution for every example; examples of similar length are adjacent, as they are read together.

    Attributes:
        values: values of the unmasked classes, float16 (V,).
        spans: first and last + 1 of each example's values, int64 (N, 2).
    """

    values: np.ndarray
    spans: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, sizes: np.ndarray, items: np.ndarray) -> _Stored:
        """From values (V,) in the order of ``items`` (N,), with ``sizes`` (N,) values for each item."""
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
        # As a plain array over the map: slicing numpy's memmap class is several times slower.
        values = np.asarray(np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False))
        return cls(values=values, spans=np.load(folder / "spans.npy", allow_pickle=False))

    def read(self, items: np.ndarray, *, like: Distilled) -> Distilled:
        values = np.concatenate([self.values[begin:end] for begin, end in self.spans[items].tolist()])
        logits_BC = torch.zeros_like(like.logits, dtype=torch.float32)
        logits_BC[like.counted()] = torch.from_numpy(values).to(logits_BC)
        return replace(like, logits=logits_BC)


class _Said(NamedTuple):
    """The teacher's outputs for one batch: example indices (B,), and values and sizes of each distribution."""

    items: np.ndarray
    distributions: list[tuple[np.ndarray, np.ndarray]]


class _TeacherModule(pl.LightningModule):
    """The teacher under a trainer, which determines device and precision."""

    def __init__(self, model: PreTrainedModel, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def predict_step(self, batch: Batch) -> _Said:
        if self.trainer.received_sigterm:  # Lightning's prediction loop, unlike its others, would run to the end
            raise SIGTERMException
        distributions = self.task.distilled(self.task.forward(self.model, batch), batch)
        return _Said(batch["items"].cpu().numpy(), [_halved(distilled) for distilled in distributions])


def _halved(distilled: Distilled) -> tuple[np.ndarray, np.ndarray]:
    """The values stored for a batch, float16, rows concatenated; and the number of values in each row, (B,)."""
    values_BC = distilled.logits.float() if distilled.is_value else distilled.log_probabilities().clamp(min=-HIGHEST)
    counted_BC = distilled.counted()
    values = values_BC[counted_BC]
    if not (values.abs() <= HIGHEST).all():  # true of NaN as well
        raise SecateurError(
            f"the teacher's outputs are not finite, or beyond ±{HIGHEST:.0f}; set trainer.precision=32-true, "
            "or start from another model"
        )
    return values.half().cpu().numpy(), counted_BC.sum(-1).cpu().numpy()
