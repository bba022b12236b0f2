"""What classification and regression share: one output, or one per class, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.slots import template_of
from secateur.data.text_pairs import TEXTS, TextPairs, tokenize_pairs
from secateur.errors import SecateurError
from secateur.tasks.base import Task, model_inputs
from secateur.tasks.labels import check_metrics


class TextPairTask(Task):
    """A text or a pair of texts, and a label.

    Args:
        metrics: scores to compute, from ``known``.
        metric: the one that tables rank by; ``average`` is the mean of several.
        document: which text of a pair is the document, ``text`` or ``text_pair``, if the two are read separately.
        known: the metrics that exist.
    """

    auto_class = "AutoModelForSequenceClassification"
    group_keys = ("title", "text")
    asks_of_documents = True

    def __init__(self, *, metrics: Sequence[str], metric: str, document: str, known: Sequence[str]) -> None:
        check_metrics(metrics, metric, known=known)
        if document not in TEXTS:
            raise SecateurError(f"document={document}: must be {' or '.join(TEXTS)}")
        self.metrics = tuple(metrics)
        self.metric = metric
        self.document = document

    def texts(self, rows: Dataset) -> list[str]:
        """First and second texts."""
        return [*rows["text"], *rows["text_pair"]]

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Both texts separately; see :func:`secateur.data.text_pairs.tokenize_pairs`."""
        return tokenize_pairs(rows, tokenizer)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """One input for each row, truncated to ``max_seq_length``."""
        return TextPairs(tokens, template_of(tokenizer, lengths), lengths, document=self.document)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Logits (B, C), and the loss that the head's ``problem_type`` specifies."""
        return model(**model_inputs(batch, "labels"))
