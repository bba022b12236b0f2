"""The contract of a method: an ordered set of steps, each of which takes a model and leaves a model."""

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
    """What passes from step to step, and what ``steps/NN-name/`` holds.

    Attributes:
        importance: how much each gate matters, for whoever decides what goes.
        gates: 1 keeps, 0 removes; surgery acts on them and leaves none.
        details: what this one step tells the record beyond the rest, as JSON has it.
    """

    model: PreTrainedModel
    importance: PerGate | None = None
    gates: PerGate | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Scores(Protocol):
    """Scores a model on a split."""

    def __call__(self, model: PreTrainedModel, *, split: str = "test") -> dict[str, float]:
        """The task's scores, by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Origins:
    """The models that came before a step, loaded when it asks for them.

    Attributes:
        pretrained: loads the model that the predecessor was before it was fine-tuned, under a fresh head.
        teacher: loads the model that distillation imitates: the start.
        teacher_outputs: what the start says of every training example; computed by the first run that asks.
        segmented: loads the segmented predecessor, which reads question and document in slots of their own; trained by
            the first run that asks.
        segmented_outputs: what that says of every training example.
    """

    pretrained: Callable[[], PreTrainedModel]
    teacher: Callable[[], PreTrainedModel]
    teacher_outputs: Callable[[], TeacherOutputs]
    segmented: Callable[[], PreTrainedModel]
    segmented_outputs: Callable[[], TeacherOutputs]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step may use besides the state.

    Attributes:
        task: what the model is to do: its loss and its scores.
        scores: what a model scores on ``test``, or on ``val`` where something is chosen by it.
        data: in the layout that the step's model reads.
        name: of the step, for messages.
        make_trainer: a trainer on the configured device, given ``max_epochs`` and more of Lightning's options.
        seed: of this step; everything random in it follows from this number, but for the order of the data.
        data_seed: the run's; phases of all methods read the training data in the order that follows from it.
        folder: the step's own, for checkpoints; gone once the step is finished.
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
    """One move of a method. It is built from settings alone, so that ranges are checked before anything loads.

    Attributes:
        changes_model: whether weights or shapes differ afterwards, so that they have to be saved.
        parents: names of the runs that the step draws upon.
        needs_pretrained: whether it starts from the model before fine-tuning, which then has to be a checkpoint.
        segments: whether it needs data whose questions and documents can be laid out apart.
        any_architecture: whether it leaves layers as they are, and so takes those that can't be gated or cut (XLNet's).
        takes_decomposed: whether it takes models that read question and document apart in some layers.
        skips_layers: whether it leaves layers out of a batch, whose weights then get no gradient.
        changes_depth: whether the model has fewer layers afterwards.
        needs, gives: which of ``PER_GATE`` (importance, gates) it takes from the steps before it, and leaves for those
            behind it. Nothing else is handed on.
        zeros: the fraction of zeros in the matrices of the encoder's layers that it comes to; None: not its business.
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
        """Take the step: what it leaves of the model is where the next one begins."""

    def begins_with(self, state: State, context: Context) -> PreTrainedModel:
        """The model that the step works on: what the one before left, or with ``needs_pretrained`` a model afresh."""
        return context.origins.pretrained() if self.needs_pretrained else state.model

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:  # noqa: B027 - most steps take any model
        """Refuse a model to start from with so many heads and FFN units in its layers, before anything is trained.

        Raises:
            SecateurError: if the step cannot do with it what its settings say.
        """

    def check_data(self, data: TaskData, *, processes: int) -> None:  # noqa: B027 - most steps take any data
        """Refuse to train on ``data`` in so many processes, before a predecessor is trained on it.

        Raises:
            SecateurError: if the step cannot do with it what its settings say.
        """

    def examples_seen(self, context: Context) -> int:
        """Training examples that the step reads, each pass counted."""
        return 0
