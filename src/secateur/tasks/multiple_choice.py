"""Multiple choice: which of several options answers a question about an article (RACE: Lai et al., arXiv 1704.04683).

Shapes: B questions in a batch, C options, L tokens. The model reads B · C sequences and gives each one logit.
"""

from __future__ import annotations

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.choice_inputs import ChoiceInputs, tokenize_choices
from secateur.data.choices import LETTERS, load_choices
from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.tasks.base import Distilled, Evaluator, Task, model_inputs
from secateur.tasks.labels import LabelEvaluator, most_probable
from secateur.tasks.metrics import CLASSIFICATION, scores_of


class MultipleChoice(Task):
    """Choose one of a question's options. Questions may have different numbers of options."""

    auto_class = "AutoModelForMultipleChoice"
    metric = "accuracy"
    group_keys = ("title", "article")
    asks_of_documents = True

    def load_rows(self, source: Source) -> DatasetDict:
        """Rows with options and the index of the correct one; see :mod:`secateur.data.choices`."""
        return load_choices(source)

    def texts(self, rows: Dataset) -> list[str]:
        """Articles, questions and options."""
        return [*rows["article"], *rows["question"], *(option for options in rows["options"] for option in options)]

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Articles and statements separately; see :func:`secateur.data.choice_inputs.tokenize_choices`."""
        return tokenize_choices(rows, tokenizer)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """One input for each option, with the article truncated to ``max_seq_length``."""
        return ChoiceInputs(tokens, template_of(tokenizer, lengths), lengths)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Logits (B, C), with float32's minimum where there is no option, and the mean cross-entropy."""
        outputs = model(**model_inputs(batch))
        # Not the model's own loss, in which padding options would count. In float32, also under autocast.
        logits_BC = outputs["logits"].float()
        outputs["logits"] = logits_BC.masked_fill(~batch["option_mask"], torch.finfo(torch.float32).min)
        outputs["loss"] = functional.cross_entropy(outputs["logits"], batch["labels"])
        return outputs

    def real_tokens(self, batch: Batch) -> Tensor:
        """The tokens (B · C, L) of real options only: padding options contain special tokens."""
        return super().real_tokens(batch) & batch["option_mask"].reshape(-1, 1)

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distribution over a question's own options."""
        return [Distilled(logits=outputs["logits"], mask=batch["option_mask"])]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Accuracy of the most probable option."""
        assert isinstance(examples, ChoiceInputs)
        return ChoiceEvaluator(examples)


class ChoiceEvaluator(LabelEvaluator):
    """Accuracy over all questions and, if there are several parts, of each part; predictions are letters."""

    def __init__(self, examples: ChoiceInputs) -> None:
        metrics = {"accuracy": CLASSIFICATION["accuracy"](len(LETTERS))}
        super().__init__(metrics, examples, decode=most_probable, name=LETTERS.__getitem__)

    def scores(self) -> dict[str, float]:
        """``accuracy``, and ``accuracy_<part>`` for each file if several were joined."""
        parts = self.examples.rows["part"][:]
        return {
            **scores_of(self.metrics, self.found, self.examples.labels, parts),
            **scores_of(self.metrics, self.found, self.examples.labels, [""] * len(parts)),
        }
