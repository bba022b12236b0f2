"""Metrics for classification and regression, as torchmetrics classes under their names in configs and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchmetrics.regression import PearsonCorrCoef, SpearmanCorrCoef

# The mean of a task's metrics, which papers report if a data set has two of them.
AVERAGE = "average"


class MatthewsCorrelation(MulticlassConfusionMatrix):
    """Matthews' correlation for any number of classes (Gorodkin 2004).

    It is 0 if all predictions, or all labels, are of one class. The class in torchmetrics 1.9 instead gives a model
    that always predicts the same class a non-zero correlation: 2.6 % for CoLA's 721 of 1,043.
    """

    def compute(self) -> Tensor:
        """The correlation, in [-1, 1]."""
        confusion_CC = super().compute().double()
        labels_C, predictions_C = confusion_CC.sum(1), confusion_CC.sum(0)
        examples = confusion_CC.sum()
        covariance = confusion_CC.trace() * examples - labels_C @ predictions_C
        spread = (examples**2 - labels_C @ labels_C) * (examples**2 - predictions_C @ predictions_C)
        return covariance / spread.sqrt() if spread > 0 else spread


class PearsonCorrelation(PearsonCorrCoef):
    """Pearson's correlation; 0 if all predictions or labels are equal, as torchmetrics does for Spearman's."""

    def compute(self) -> Tensor:
        """The correlation, in [-1, 1]."""
        return super().compute() if self.var_x.any() and self.var_y.any() else self.var_x.new_zeros(())


def _f1(classes: int) -> Metric:
    """F1 of class 1 if there are two classes, as GLUE scores paraphrases; else the unweighted mean over classes."""
    return BinaryF1Score() if classes == 2 else MulticlassF1Score(classes, average="macro")


CLASSIFICATION: dict[str, Callable[[int], Metric]] = {
    "accuracy": lambda classes: MulticlassAccuracy(classes, average="micro"),
    "f1": _f1,
    "mcc": MatthewsCorrelation,
}
REGRESSION: dict[str, Callable[[], Metric]] = {"pearson": PearsonCorrelation, "spearman": SpearmanCorrCoef}


def scores_of(
    metrics: dict[str, Metric], predictions: Tensor, labels: Tensor, parts: Sequence[str]
) -> dict[str, float]:
    """Scores in percent and, if there are several metrics, their mean as ``average``.

    Args:
        metrics: name -> metric.
        predictions, labels: classes or values of E examples, (E,).
        parts: which test set each example comes from, (E,). If there are several, each is scored separately as
            ``<metric>_<part>``, and ``<metric>`` is their mean.
    """
    scores: dict[str, float] = {}
    names = sorted(set(parts))
    for name, metric in metrics.items():
        found = {
            part: _score(metric, predictions, labels, [i for i, other in enumerate(parts) if other == part])
            for part in names
        }
        if len(names) > 1:
            scores |= {f"{name}_{part}": score for part, score in found.items()}
        scores[name] = mean(found.values())
    if len(metrics) > 1:
        scores[AVERAGE] = mean(scores[name] for name in metrics)
    return scores


def _score(metric: Metric, predictions: Tensor, labels: Tensor, chosen: list[int]) -> float:
    metric.reset()
    metric.update(predictions[chosen], labels[chosen])
    return 100 * metric.compute().item()
