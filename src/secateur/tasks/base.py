"""What a task is: a head, how rows become batches, a loss, and how outputs become scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.sources import Source
from secateur.errors import SecateurError
from secateur.structure.anatomy import ANATOMIES
from secateur.structure.modeling_secateur import AUTO_CLASSES, stock_name


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
    """What a student can imitate: a distribution over classes (or positions), or the values of a regression.

    Shapes: B examples of a batch, C classes.

    Attributes:
        logits: (B, C).
        mask: which classes count, bool (B, C); None: all. The same for an example in whatever batch it stands.
        is_value: ``logits`` are C numbers to come close to, not classes to choose from.
    """

    logits: Tensor
    mask: Tensor | None
    is_value: bool = False

    def counted(self) -> Tensor:
        """The mask spelt out, bool (B, C)."""
        return torch.ones_like(self.logits, dtype=torch.bool) if self.mask is None else self.mask

    def log_probabilities(self, *, temperature: float = 1.0) -> Tensor:
        """log softmax(logits / temperature) over the classes that count, float32 (B, C); others are far below."""
        logits_BC = self.logits.float() / temperature
        if self.mask is not None:
            # A finite floor: its probability is exactly 0, and unlike -inf it leaves numbers where two are subtracted.
            logits_BC = logits_BC.masked_fill(~self.mask, torch.finfo(torch.float32).min)
        return logits_BC.log_softmax(-1)


def model_inputs(batch: Batch, *labels: str) -> dict[str, Any]:
    """What of a batch, in whatever layout, a model takes; ``labels`` beside."""
    names = ("input_ids", "attention_mask", "token_type_ids", "question_length", *labels)
    return {name: batch[name] for name in names if name in batch}


class Task(ABC):
    """One per kind of question that a model answers. Built from settings alone.

    Attributes:
        metric: the score that tables rank by and that retention is computed on.
        auto_class: name of the ``transformers`` Auto class that has the head.

    Class attributes:
        group_keys: columns by which ``val`` is split off, the coarse one first.
        row_settings: the settings that shape the rows, and so the tokens made of them.
        answers_by_token: the head reads every token, not the first one alone.
        keeps_head: whether a checkpoint's own head is gone on with, where it has one of the task's, or drawn anew.
        asks_of_documents: inputs have a question and a document, which can be laid out apart.
        added_tokens: tokens that texts are marked with, which a vocabulary has to have beside its own.
    """

    metric: str
    auto_class: str
    group_keys: ClassVar[tuple[str, str]]
    row_settings: ClassVar[tuple[str, ...]] = ()
    answers_by_token: ClassVar[bool] = False
    keeps_head: ClassVar[bool] = False
    asks_of_documents: ClassVar[bool] = False
    added_tokens: ClassVar[tuple[str, ...]] = ()

    def check_architecture(self, config: PretrainedConfig) -> None:
        """Refuse a model by its configuration, before anything is loaded.

        Raises:
            SecateurError: if the architecture has no such head.
        """
        able = [name for name in sorted(ANATOMIES) if name in AUTO_CLASSES[self.auto_class]]
        if config.model_type not in able:
            raise SecateurError(
                f"model_type={config.model_type}: has no {self.auto_class}; take one of {', '.join(able)}"
            )

    def check_distillation(self, *, key: str) -> None:  # noqa: B027 - most outputs can be stored
        """Refuse the imitation of a teacher whose outputs are stored, which ``key`` asks for.

        Raises:
            SecateurError: if training shows the model something else each time.
        """

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """Settings of the model's config that the head for these examples has."""
        return {}

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Refuse a fine-tuned model that answers something else.

        Raises:
            SecateurError: naming ``key``, where the model comes from.
        """
        if AUTO_CLASSES[self.auto_class].get(model.config.model_type) != stock_name(type(model).__name__):
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

    def read_rows(self, source: Source, folder: Path) -> DatasetDict:
        """The same; a task whose rows may exceed memory keeps them in ``folder``, which lasts until they are tokens."""
        return self.load_rows(source)

    @abstractmethod
    def texts(self, rows: Dataset) -> Iterable[str]:
        """Every text of the rows, for a vocabulary trained on the spot."""

    @abstractmethod
    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Rows with token ids, question and document apart."""

    def write_tokens(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, folder: Path) -> None:
        """Tokenise a split into ``folder``; a task whose rows may exceed memory does so piece by piece."""
        self.tokenize(rows, tokenizer, lengths).save_to_disk(folder)

    @abstractmethod
    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Model inputs over tokenised rows, in the layout that ``lengths`` says."""

    def training_examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Model inputs to train on: all of :meth:`examples`, or some of them."""
        return self.examples(tokens, tokenizer, lengths)

    @abstractmethod
    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Run the model; the outputs carry the batch's mean ``loss``."""

    def real_tokens(self, batch: Batch) -> Tensor:
        """The tokens (B, L) that a loss on states may count; choices are sequences here."""
        return batch["attention_mask"].flatten(0, -2).bool()

    @abstractmethod
    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distributions, or values, that logits distillation compares; as many of each example in every batch."""

    @abstractmethod
    def evaluator(self, examples: Examples) -> Evaluator:
        """A fresh evaluator for one pass over these examples."""
