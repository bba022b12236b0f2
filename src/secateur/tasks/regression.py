"""Regression on texts and pairs of texts, such as graded similarity (STS-B: Cer et al., arXiv 1708.00055)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import DatasetDict
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples
from secateur.data.labelled import load_values
from secateur.data.sources import Source
from secateur.data.text_pairs import TextPairs
from secateur.tasks.base import Distilled, Evaluator
from secateur.tasks.labels import LabelEvaluator
from secateur.tasks.metrics import REGRESSION
from secateur.tasks.text_pairs import TextPairTask


class Regression(TextPairTask):
    """One number for each text or pair of texts: the same inputs and head as classification, with one output.

    Args:
        metrics: scores to compute: ``pearson`` and ``spearman``.
        metric: the one that tables rank by; ``average`` is the mean of several.
        document: which text of a pair is the document, ``text`` or ``text_pair``, if the two are read separately.
    """

    def __init__(self, *, metrics: Sequence[str], metric: str, document: str = "text_pair") -> None:
        super().__init__(metrics=metrics, metric=metric, document=document, known=tuple(REGRESSION))

    def load_rows(self, source: Source) -> DatasetDict:
        """Rows whose labels are numbers; see :mod:`secateur.data.labelled`."""
        return load_values(source)

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """One output, trained with the mean squared error."""
        return {"num_labels": 1, "problem_type": "regression"}

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The predicted value, (B, 1)."""
        return [Distilled(logits=outputs["logits"], mask=None, is_value=True)]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Correlations between predicted values and labels."""
        assert isinstance(examples, TextPairs)
        metrics = {name: REGRESSION[name]() for name in self.metrics}
        return LabelEvaluator(metrics, examples, decode=lambda logits_BC: logits_BC.squeeze(-1), name=float)
