"""Collecting one prediction per row, and checking the choice of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from transformers.utils import ModelOutput

from secateur.data.choice_inputs import ChoiceInputs
from secateur.data.examples import Batch
from secateur.data.text_pairs import TextPairs
from secateur.errors import SecateurError
from secateur.tasks.base import Evaluator
from secateur.tasks.metrics import AVERAGE, scores_of


class LabelEvaluator(Evaluator):
    """Collects one prediction for each row.

    Args:
        metrics: name -> metric.
        examples: the rows and their labels.
        decode: maps logits (B, C) to predictions (B,).
        name: maps a prediction to how it is written down.
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
        """Store the predictions of a batch at their rows."""
        predictions: Tensor = self.decode(outputs["logits"].float())
        self.found[batch["items"].cpu()] = predictions.cpu()

    def scores(self) -> dict[str, float]:
        """See :func:`secateur.tasks.metrics.scores_of`."""
        return scores_of(self.metrics, self.found, self.examples.labels, self.examples.rows["part"][:])

    def predictions(self) -> dict[str, Any]:
        """Row id to label."""
        return dict(zip(self.examples.rows["id"][:], map(self.name, self.found.tolist()), strict=True))


def most_probable(logits_BC: Tensor) -> Tensor:
    """The class, or option, (B,) with the highest logit."""
    return logits_BC.argmax(-1)


def check_metrics(metrics: Sequence[str], metric: str, *, known: Sequence[str]) -> None:
    """Reject unknown metrics.

    Raises:
        SecateurError: for the first unknown one, or if ``metric`` is not one of ``metrics`` or their average.
    """
    if isinstance(metrics, str) or not metrics:
        raise SecateurError(f"metrics={metrics}: must be a list of {', '.join(known)}")
    for name in metrics:
        if name not in known:
            raise SecateurError(f"metrics={name}: must be one of {', '.join(known)}")
    choices = [*metrics, *([AVERAGE] if len(metrics) > 1 else [])]
    if metric not in choices:
        raise SecateurError(f"metric={metric}: must be one of metrics; here that is {' or '.join(choices)}")
