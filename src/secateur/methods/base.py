"""The contract of a method: an ordered sequence of steps, each of which takes a model and returns a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
from transformers import PreTrainedModel

from secateur.data.task_data import TaskData
from secateur.distillation.teacher import TeacherOutputs
from secateur.structure.gates import PerGate
from secateur.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class State:
    """What is passed from step to step, and stored in ``steps/NN-name/``.

    Attributes:
        model: the model.
        importance: how important each gate is, for the step that decides what is removed.
        gates: 1 keeps, 0 removes; surgery uses them up.
        details: additional entries of this step for the record, as JSON values.
    """

    model: PreTrainedModel
    importance: PerGate | None = None
    gates: PerGate | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Scores(Protocol):
    """Scores a model on a split."""

    def __call__(self, model: PreTrainedModel, *, split: str = "test") -> dict[str, float]:
        """The task's scores of ``model``, by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Origins:
    """The models that came before a step, loaded on demand.

    Attributes:
        pretrained: loads the model before the predecessor's fine-tuning, with a newly initialised head.
        teacher: loads the model that distillation imitates: the start, which the run began to compress.
        teacher_outputs: the start's outputs for every training example; computed by the first run that needs them.
        segmented: loads the segmented predecessor, which reads question and document in separate slots; trained by the
            first run that needs it.
        segmented_outputs: its outputs for every training example.
    """

    pretrained: Callable[[], PreTrainedModel]
    teacher: Callable[[], PreTrainedModel]
    teacher_outputs: Callable[[], TeacherOutputs]
    segmented: Callable[[], PreTrainedModel]
    segmented_outputs: Callable[[], TeacherOutputs]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step may use in addition to the state.

    Attributes:
        name: the step's name, for messages.
        task: the task, with its loss and scores.
        data: the data, in the layout that the step's model reads.
        scores: scores a model on ``test``, or on ``val`` if something is chosen by the score.
        origins: the models that came before the step.
        make_trainer: creates a trainer on the configured device, given ``max_epochs`` and other Lightning options.
        seed: this step's seed; it determines everything random in the step except the order of the data.
        data_seed: the run's seed; it determines the order in which phases of all methods read the training data.
        folder: the step's own folder for checkpoints; deleted when the step is finished.
    """

    name: str
    task: Task
    data: TaskData
    scores: Scores
    origins: Origins
    make_trainer: Callable[..., pl.Trainer]
    seed: int
    data_seed: int
    folder: Path


class Step(ABC):
    """One step of a method. It is built from settings alone, so that ranges are checked before anything is loaded.

    Attributes:
        changes_model: whether weights or shapes differ afterwards, so that they must be saved.
        parents: names of the runs whose results the step uses.
        needs_pretrained: whether it starts from the model before fine-tuning, which must then be a checkpoint.
        segments: whether it needs data whose questions and documents can be laid out separately.
        any_architecture: whether it leaves layers unchanged, so that it supports layers that can't be gated or cut
            (XLNet's).
        takes_decomposed: whether it supports models that read question and document separately in some layers.
        skips_layers: whether it leaves layers out of some batches, so that their weights get no gradient.
        changes_depth: whether the model has fewer layers afterwards.
        needs, gives: which of importance and gates it takes from the step before it, and passes on to the next one.
        zeros: the fraction of zeros that it leaves in the matrices of the encoder's layers; None if it sets none.
    """

    changes_model: bool = True
    parents: tuple[str, ...] = ()
    needs_pretrained: bool = False
    segments: bool = False
    any_architecture: bool = False
    takes_decomposed: bool = True
    skips_layers: bool = False
    changes_depth: bool = False
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    zeros: float | None = None

    def __init__(self, *, evaluate: bool = False) -> None:
        self.evaluate = evaluate

    @abstractmethod
    def run(self, state: State, context: Context) -> State:
        """Run the step; the next step starts from the state that it returns."""

    def begins_with(self, state: State, context: Context) -> PreTrainedModel:
        """The model that the step works on: the previous step's, or with ``needs_pretrained`` the pretrained one."""
        return context.origins.pretrained() if self.needs_pretrained else state.model

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:  # noqa: B027 - most steps take any model
        """Reject an unsuitable model to start from, before anything is trained.

        Args:
            heads: number of heads in each layer.
            units: number of FFN units in each layer.

        Raises:
            SecateurError: if the step's settings cannot be applied to such a model.
        """

    def check_data(self, data: TaskData, *, processes: int) -> None:  # noqa: B027 - most steps take any data
        """Reject unsuitable data, before a predecessor is trained on it.

        Args:
            data: the data to train on.
            processes: number of processes of the fit.

        Raises:
            SecateurError: if the step's settings cannot be applied to such data.
        """

    def examples_seen(self, context: Context) -> int:
        """Number of training examples that the step reads, counting every pass."""
        return 0
