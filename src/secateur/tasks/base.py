"""The interface of a task: a head, how rows become batches, a loss, and how outputs become scores."""

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
    """Collects the outputs of one pass over a split, then scores them."""

    @abstractmethod
    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Add the outputs of one batch."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Scores over all collected outputs, in percent where that is customary."""

    @abstractmethod
    def predictions(self) -> Any:
        """Predictions in the data set's official format, ready for JSON."""


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """What a student can imitate: a distribution over classes (or positions), or regression values.

    Shapes: B examples in a batch, C classes.

    Attributes:
        logits: (B, C).
        mask: which classes count, bool (B, C); None: all. It does not depend on which other examples are in the batch.
        is_value: ``logits`` are C values to match, not classes to choose from.
    """

    logits: Tensor
    mask: Tensor | None
    is_value: bool = False

    def counted(self) -> Tensor:
        """The mask, all true if it is None, bool (B, C)."""
        return torch.ones_like(self.logits, dtype=torch.bool) if self.mask is None else self.mask

    def log_probabilities(self, *, temperature: float = 1.0) -> Tensor:
        """log softmax(logits / temperature) over the unmasked classes, float32 (B, C); others are hugely negative."""
        logits_BC = self.logits.float() / temperature
        if self.mask is not None:
            # A finite floor: its probability is exactly 0, and unlike -inf, differences of two floors are not NaN.
            logits_BC = logits_BC.masked_fill(~self.mask, torch.finfo(torch.float32).min)
        return logits_BC.log_softmax(-1)


def model_inputs(batch: Batch, *labels: str) -> dict[str, Any]:
    """The entries of a batch, in any layout, that a model takes as inputs, and those named in ``labels``."""
    names = ("input_ids", "attention_mask", "token_type_ids", "question_length", *labels)
    return {name: batch[name] for name in names if name in batch}


class Task(ABC):
    """What a model is trained and scored on; one subclass for each kind of task. Built from settings alone.

    Attributes:
        metric: the score that tables rank by and that retention is computed on.
        auto_class: name of the ``transformers`` Auto class that has the head.

    Class attributes:
        group_keys: columns by which ``val`` is split off, the coarse one first.
        row_settings: the settings that affect the rows, and therefore their tokens.
        answers_by_token: the head reads every token, not only the first.
        keeps_head: whether a checkpoint's head is reused if it is of the task's kind, rather than newly initialised.
        asks_of_documents: inputs have a question and a document, which can be laid out separately.
        added_tokens: markers used in the texts, which the vocabulary needs in addition to its own tokens.
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
        """Reject a model by its configuration, before anything is loaded.

        Raises:
            SecateurError: if the architecture has no head for this task.
        """
        able = [name for name in sorted(ANATOMIES) if name in AUTO_CLASSES[self.auto_class]]
        if config.model_type not in able:
            raise SecateurError(
                f"model_type={config.model_type}: has no {self.auto_class}; use one of {', '.join(able)}"
            )

    def check_distillation(self, *, key: str) -> None:  # noqa: B027 - most outputs can be stored
        """Reject distillation from stored teacher outputs, which the setting ``key`` requests.

        Raises:
            SecateurError: if the inputs differ from epoch to epoch.
        """

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """Settings of the model's config that its head needs for these examples."""
        return {}

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Reject a fine-tuned model whose head does not fit the task or the data.

        Raises:
            SecateurError: naming ``key``, the setting that the model comes from.
        """
        if AUTO_CLASSES[self.auto_class].get(model.config.model_type) != stock_name(type(model).__name__):
            raise SecateurError(f"{key}: a {type(model).__name__} does not fit this task; give an {self.auto_class}")
        needed = self.head_settings(examples).get("num_labels")
        if needed is not None and model.config.num_labels != needed:
            raise SecateurError(
                f"{key}: the model has {model.config.num_labels} outputs, but the data needs {needed}; "
                "give a model that was trained on this task"
            )

    @abstractmethod
    def load_rows(self, source: Source) -> DatasetDict:
        """Validated rows of the splits ``train`` and ``test``."""

    def read_rows(self, source: Source, folder: Path) -> DatasetDict:
        """The same; a task whose rows may exceed memory keeps them in ``folder``, which exists until tokenisation."""
        return self.load_rows(source)

    @abstractmethod
    def texts(self, rows: Dataset) -> Iterable[str]:
        """Every text of the rows, for learning a vocabulary from them."""

    @abstractmethod
    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Rows with token ids, question and document separate."""

    def write_tokens(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, folder: Path) -> None:
        """Tokenise a split into ``folder``; a task whose rows may exceed memory does so piece by piece."""
        self.tokenize(rows, tokenizer, lengths).save_to_disk(folder)

    def check_stored(self, tokens: Dataset) -> None:  # noqa: B027 - most tasks score whatever their tokens are
        """Reject tokens from the store that this task cannot score: other settings of the task share them.

        Raises:
            SecateurError: naming the first row of that kind.
        """

    @abstractmethod
    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Model inputs over tokenised rows, in the layout given by ``lengths``."""

    def training_examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Model inputs to train on: all of :meth:`examples`, or some of them."""
        return self.examples(tokens, tokenizer, lengths)

    @abstractmethod
    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Run the model; the outputs carry the batch's mean ``loss``."""

    def real_tokens(self, batch: Batch) -> Tensor:
        """The tokens that a loss on hidden states may use, bool (B, L); for multiple choice (B · C, L)."""
        return batch["attention_mask"].flatten(0, -2).bool()

    @abstractmethod
    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distributions, or values, that logits distillation compares; the same number in every batch."""

    @abstractmethod
    def evaluator(self, examples: Examples) -> Evaluator:
        """A new evaluator for one pass over these examples."""
