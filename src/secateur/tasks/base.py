"""What a task is: a head, how rows become batches, a loss, and how outputs become scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset, DatasetDict
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.sources import Source
from secateur.errors import SecateurError


class Evaluator(ABC):
    """Gathers the outputs of one pass over a split, then scores them."""

    @abstractmethod
    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Take the outputs of one batch."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Scores over all that was taken, in percent where the field does so."""

    @abstractmethod
    def predictions(self) -> Any:
        """Predictions in the data set's official format, ready for JSON."""


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """What a student can imitate: logits (B, C), and which of the C count (None: all).

    Attributes:
        is_value: the logits are values by themselves (regression), not a distribution over C.
    """

    logits: Tensor
    mask: Tensor | None
    is_value: bool = False


class Task(ABC):
    """One per kind of question that a model answers. Built from settings alone.

    Attributes:
        metric: the score that tables rank by and that retention is computed on.

    Class attributes:
        auto_class: name of the ``transformers`` Auto class that has the head.
        group_keys: columns by which ``val`` is split off, the coarse one first.
        row_settings: the settings that shape the rows, and so the tokens made of them.
    """

    metric: str
    auto_class: ClassVar[str]
    group_keys: ClassVar[tuple[str, str]]
    row_settings: ClassVar[tuple[str, ...]] = ()

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """Settings of the model's config that the head for these examples has."""
        return {}

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Refuse a fine-tuned model that answers something else.

        Raises:
            SecateurError: naming ``key``, where the model comes from.
        """
        if not type(model).__name__.endswith(self.auto_class.removeprefix("AutoModel")):
            raise SecateurError(f"{key}: a {type(model).__name__} does not answer it; give an {self.auto_class}")
        needed = self.head_settings(examples).get("num_labels")
        if needed is not None and model.config.num_labels != needed:
            raise SecateurError(
                f"{key}: the model has {model.config.num_labels} outputs, the data needs {needed}; "
                "give a model that was trained on this task"
            )

    @abstractmethod
    def load_rows(self, source: Source) -> DatasetDict:
        """Validated rows of the splits ``train`` and ``test``."""

    @abstractmethod
    def texts(self, rows: Dataset) -> list[str]:
        """Every text of the rows, for a vocabulary trained on the spot."""

    @abstractmethod
    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Rows with token ids, question and document apart."""

    @abstractmethod
    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Model inputs over tokenised rows."""

    @abstractmethod
    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Run the model; the outputs carry the batch's mean ``loss``."""

    @abstractmethod
    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distributions that logits distillation compares."""

    @abstractmethod
    def evaluator(self, examples: Examples) -> Evaluator:
        """A fresh evaluator for one pass over these examples."""
