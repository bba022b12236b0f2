"""Each metric against hand-worked values, and for models that always predict the same."""

from __future__ import annotations

import math

import pytest
import torch
from torchmetrics import Metric
from torchmetrics.classification import MulticlassMatthewsCorrCoef

from secateur.tasks.metrics import CLASSIFICATION, REGRESSION, scores_of


def _score(metric: Metric, predictions: list, labels: list) -> float:
    parts = ["dev"] * len(labels)
    return scores_of({"score": metric}, torch.tensor(predictions), torch.tensor(labels), parts)["score"]


@pytest.mark.parametrize(
    ("name", "classes", "predictions", "labels", "expected"),
    [
        ("accuracy", 2, [0, 1, 1, 1], [0, 1, 0, 1], 75),
        # By examples, not the mean over classes.
        ("accuracy", 3, [0, 0, 0, 0, 1], [0, 0, 0, 1, 2], 60),
        # Of class 1: precision 2/3, recall 2/4.
        ("f1", 2, [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0], 100 * 4 / 7),
        ("f1", 2, [0, 0, 0], [0, 1, 1], 0),
        # Of the classes 2/3, 1/2 and 0; the mean of them.
        ("f1", 3, [0, 0, 1, 1, 1], [0, 1, 1, 2, 0], 100 * (2 * 1 / 4 + 2 * 1 / 5 + 0) / 3),
        # (tp·tn - fp·fn) / √((tp+fp)(tp+fn)(tn+fp)(tn+fn)) with 3, 1, 1, 2.
        ("mcc", 2, [1, 1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 0, 1, 1], 100 * (3 * 1 - 1 * 2) / math.sqrt(4 * 5 * 2 * 3)),
        ("mcc", 2, [1, 0, 1, 0], [1, 0, 1, 0], 100),
        ("mcc", 2, [1, 0, 1, 0], [0, 1, 0, 1], -100),
        # Gorodkin: 3 of 6 right; labels (3, 2, 1), predictions (2, 3, 1): (3·6 - 13) / √((36 - 14)(36 - 14)).
        ("mcc", 3, [0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 2, 1], 100 * (3 * 6 - 13) / 22),
    ],
)
def test_classification_by_hand(name, classes, predictions, labels, expected):
    assert _score(CLASSIFICATION[name](classes), predictions, labels) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("predictions", "labels"), [([1] * 10, [1] * 7 + [0] * 3), ([0] * 4, [0, 1, 2, 2]), ([0, 1, 2, 2], [2] * 4)]
)
def test_who_always_answers_the_same_has_no_correlation(predictions, labels):
    """Compressed too far, models do so; torchmetrics' own class has 27.6 for the first."""
    assert _score(CLASSIFICATION["mcc"](max(predictions + labels) + 1), predictions, labels) == 0


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_mcc_is_torchmetrics_own_where_that_is_defined(classes):
    generator = torch.Generator().manual_seed(0)
    predictions, labels = (torch.randint(classes, (200,), generator=generator) for _ in range(2))
    labels = torch.where(torch.rand(200, generator=generator) < 0.5, predictions, labels)
    theirs = 100 * MulticlassMatthewsCorrCoef(classes)(predictions, labels).item()
    assert theirs > 20
    assert _score(CLASSIFICATION["mcc"](classes), predictions.tolist(), labels.tolist()) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "expected"),
    [
        # Deviations (-1.5, -0.5, 0.5, 1.5) and (-1, -2, 2, 1): 5 / √(5 · 10).
        ("pearson", [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 5.0, 4.0], 100 / math.sqrt(2)),
        ("pearson", [0.3, 0.2, 0.1], [1.0, 2.0, 3.0], -100),
        # Ranks (1, 2, 3, 4) and (2, 1, 4, 3): 1 - 6 · 4 / (4 · 15).
        ("spearman", [1.0, 2.0, 3.0, 40.0], [2.0, 1.0, 50.0, 4.0], 60),
        # Ties share the mean of their ranks, (1.5, 1.5, 3) and (1, 2, 3): 1.5 / √(1.5 · 2).
        ("spearman", [1.0, 1.0, 7.0], [1.0, 2.0, 3.0], 100 * 1.5 / math.sqrt(3)),
        ("pearson", [2.5, 2.5, 2.5], [1.0, 2.0, 3.0], 0),
        ("spearman", [2.5, 2.5, 2.5], [1.0, 2.0, 3.0], 0),
    ],
)
def test_regression_by_hand(name, predictions, labels, expected):
    assert _score(REGRESSION[name](), predictions, labels) == pytest.approx(expected, abs=1e-3)


def test_predictions_that_are_no_numbers_are_not_taken_for_equal_ones():
    assert math.isnan(_score(REGRESSION["pearson"](), [math.nan, 1.0, 2.0], [1.0, 2.0, 3.0]))


def test_several_metrics_have_their_mean_as_average():
    """As the papers report MRPC, QQP and STS-B."""
    metrics = {name: CLASSIFICATION[name](2) for name in ("f1", "accuracy")}
    scores = scores_of(metrics, torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]), ["dev"] * 4)
    assert scores == pytest.approx({"f1": 50, "accuracy": 50, "average": 50})
    metrics.pop("f1")
    assert list(scores_of(metrics, torch.tensor([1]), torch.tensor([1]), ["dev"])) == ["accuracy"]


def test_several_test_sets_are_scored_apart_and_their_mean_is_the_metric():
    """As the papers report MNLI, whatever the sizes of the two; a metric is reset between them."""
    parts = ["matched", "mismatched", "matched", "mismatched", "mismatched", "mismatched"]
    predictions, labels = torch.tensor([1, 0, 0, 0, 0, 0]), torch.tensor([1, 0, 1, 0, 0, 1])
    metrics = {name: CLASSIFICATION[name](3) for name in ("accuracy", "mcc")}
    scores = scores_of(metrics, predictions, labels, parts)
    assert {name: scores[name] for name in scores if "accuracy" in name} == {
        "accuracy_matched": 50,
        "accuracy_mismatched": 75,
        "accuracy": 62.5,
    }
    assert scores["average"] == (scores["accuracy"] + scores["mcc"]) / 2
