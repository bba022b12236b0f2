"""Classification of texts and of pairs of texts (GLUE: Wang et al., arXiv 1804.07461)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from torchmetrics import Metric
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.choice_inputs import ChoiceInputs
from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.labelled import load_classes
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.data.text_pairs import TEXTS, TextPairs, tokenize_pairs
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled, Evaluator, Task, model_inputs
from secateur.tasks.metrics import AVERAGE, CLASSIFICATION, scores_of


class Classification(Task):
    """One class for each text or pair of texts.

    Args:
        labels: names of the classes, in order, which in the data may stand as they are or as indices; None takes
            those of the training data.
        metrics: scores to take, of ``accuracy``, ``f1`` and ``mcc`` (Matthews' correlation).
        metric: the one that tables rank by; ``average`` is the mean of several.
        document: which text of a pair is the document, ``text`` or ``text_pair``, where the two are read apart.
    """

    auto_class = "AutoModelForSequenceClassification"
    group_keys = ("title", "text")
    asks_of_documents = True
    row_settings: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        *,
        metrics: Sequence[str],
        metric: str,
        labels: Sequence[str] | None = None,
        document: str = "text_pair",
    ) -> None:
        check_metrics(metrics, metric, known=tuple(CLASSIFICATION))
        check_document(document)
        self.document = document
        self.labels = None if labels is None else _names(labels)
        self.metrics = tuple(metrics)
        self.metric = metric

    def load_rows(self, source: Source) -> DatasetDict:
        """Rows with class indices; see :mod:`secateur.data.labelled`."""
        return load_classes(source, labels=self.labels)

    def texts(self, rows: Dataset) -> list[str]:
        """First and second texts."""
        return [*rows["text"], *rows["text_pair"]]

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Both texts apart; see :func:`secateur.data.text_pairs.tokenize_pairs`."""
        return tokenize_pairs(rows, tokenizer)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """One input for each row, cut to ``max_seq_length``."""
        return TextPairs(tokens, template_of(tokenizer, lengths), lengths, document=self.document)

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """As many outputs as there are classes, called by their names."""
        assert isinstance(examples, TextPairs)
        names = examples.rows.features["label"].names
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
            "problem_type": "single_label_classification",
        }

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Refuse a model of other classes, or of the same in another order; one whose classes have no names passes."""
        super().check_head(model, examples, key=key)
        names: Any = model.config.id2label
        needed = self.head_settings(examples).get("id2label", names)
        if names != needed and names != {index: f"LABEL_{index}" for index in names}:
            raise SecateurError(
                f"{key}: the model's labels are {', '.join(names.values())}, the data's {', '.join(needed.values())}; "
                "dataset.task.labels gives them an order, or take a model that was trained on this task"
            )

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Logits (B, C) and the mean cross-entropy."""
        return model(**model_inputs(batch, "labels"))

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distribution over classes."""
        return [Distilled(logits=outputs["logits"], mask=None)]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Scores of the most probable class."""
        assert isinstance(examples, TextPairs)
        names = examples.rows.features["label"].names
        metrics = {name: CLASSIFICATION[name](len(names)) for name in self.metrics}
        return LabelEvaluator(metrics, examples, decode=lambda logits_BC: logits_BC.argmax(-1), name=names.__getitem__)


class LabelEvaluator(Evaluator):
    """Gathers one prediction for each row.

    Args:
        metrics: by name.
        decode: predictions (B,) of logits (B, C).
        name: how a prediction is written down.
    """

    def __init__(
        self, metrics: dict[str, Metric], examples: TextPairs | ChoiceInputs, *, decode: Any, name: Any
    ) -> None:
        self.metrics = metrics
        self.examples = examples
        self.decode = decode
        self.name = name
        self.found = torch.zeros_like(examples.labels)

    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Keep the predictions of a batch in the place of their rows."""
        predictions: Tensor = self.decode(outputs["logits"].float())
        self.found[batch["items"].cpu()] = predictions.cpu()

    def scores(self) -> dict[str, float]:
        """See :func:`secateur.tasks.metrics.scores_of`."""
        return scores_of(self.metrics, self.found, self.examples.labels, self.examples.rows["part"][:])

    def predictions(self) -> dict[str, Any]:
        """Row id to label."""
        return dict(zip(self.examples.rows["id"][:], map(self.name, self.found.tolist()), strict=True))


def check_metrics(metrics: Sequence[str], metric: str, *, known: Sequence[str]) -> None:
    """Refuse metrics that there are not.

    Raises:
        SecateurError: for the first, or if ``metric`` is none of them.
    """
    if isinstance(metrics, str) or not metrics:
        raise SecateurError(f"metrics={metrics}: must be a list of {', '.join(known)}")
    for name in metrics:
        if name not in known:
            raise SecateurError(f"metrics={name}: must be of {', '.join(known)}")
    choices = [*metrics, *([AVERAGE] if len(metrics) > 1 else [])]
    if metric not in choices:
        raise SecateurError(f"metric={metric}: must be of metrics; here that is {' or '.join(choices)}")


def check_document(document: str) -> None:
    """Refuse what is no text of a pair.

    Raises:
        SecateurError: naming the two.
    """
    if document not in TEXTS:
        raise SecateurError(f"document={document}: must be {' or '.join(TEXTS)}")


def _names(labels: Sequence[str]) -> list[str]:
    names = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(set(names)) != max(len(names), 2):
        raise SecateurError(f"labels={labels}: give a list of at least two names, all different, or null")
    return names
