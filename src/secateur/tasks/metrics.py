"""Metrics of classification and regression by their names in configs and tables, as torchmetrics classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)
from torchmetrics.regression import PearsonCorrCoef, SpearmanCorrCoef

# The mean of all scores that a task has: what papers report where a data set has two metrics or two test sets.
AVERAGE = "average"


def _f1(classes: int) -> Metric:
    """Of the class 1 where there are two, as GLUE scores paraphrases; else the unweighted mean over classes."""
    return BinaryF1Score() if classes == 2 else MulticlassF1Score(classes, average="macro")


CLASSIFICATION: dict[str, Callable[[int], Metric]] = {
    "accuracy": lambda classes: MulticlassAccuracy(classes, average="micro"),
    "f1": _f1,
    "mcc": MulticlassMatthewsCorrCoef,
}
REGRESSION: dict[str, Callable[[], Metric]] = {"pearson": PearsonCorrCoef, "spearman": SpearmanCorrCoef}


def scores_of(
    metrics: dict[str, Metric], predictions: Tensor, labels: Tensor, parts: Sequence[str]
) -> dict[str, float]:
    """:func:`scores_by_part`, and their mean as ``average`` where there are several scores."""
    scores = scores_by_part(metrics, predictions, labels, parts)
    if len(scores) > 1:
        scores[AVERAGE] = sum(scores.values()) / len(scores)
    return scores


def scores_by_part(
    metrics: dict[str, Metric], predictions: Tensor, labels: Tensor, parts: Sequence[str]
) -> dict[str, float]:
    """Scores in percent.

    Args:
        metrics: by name.
        predictions, labels: classes or values, (E,).
        parts: which test set each example is from, (E,); where there are several, each is scored by itself, as
            ``<metric>_<part>``.
    """
    scores = {}
    names = sorted(set(parts))
    for part in names:
        chosen = [index for index, other in enumerate(parts) if other == part]
        for name, metric in metrics.items():
            key = name if len(names) == 1 else f"{name}_{part}"
            metric.reset()
            metric.update(predictions[chosen], labels[chosen])
            scores[key] = 100 * metric.compute().item()
    return scores
