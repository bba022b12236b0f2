"""Long- and short-answer scores of Natural Questions (Kwiatkowski et al. 2019), by the rules of the official scorer.

* A page has a long (short) answer if at least two of its annotators gave one; yes or no counts as a short answer. For
  pages with a single annotator, as in the training data, that annotator decides.
* A prediction is correct if it equals the answer of *one* annotator: the span of the long answer; all spans of the
  short answer, as sets; or yes or no.
* Predictions are ranked by score, and those below a threshold count as no answer; equal scores are never separated.
  F1, precision and recall are those at the threshold that is best for F1.

A span is its first page token and its last page token + 1.

Shapes: T distinct scores, that is thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from secateur.data.page_formats import NO_SPAN, NONE, Span
from secateur.errors import SecateurError

ANNOTATORS_NEEDED = 2
TARGET_PRECISIONS = (0.5, 0.75, 0.9)


class Answer(NamedTuple):
    """An annotator's or a model's answer: ``long`` may be NO_SPAN, ``short`` empty, ``yes_no`` NONE, YES or NO."""

    long: Span
    short: Sequence[Span]
    yes_no: str = NONE

    @property
    def has_long(self) -> bool:
        """Whether there is a long answer."""
        return self.long != NO_SPAN

    @property
    def has_short(self) -> bool:
        """Whether there is a short answer: spans, or yes or no."""
        return bool(self.short) or self.yes_no != NONE


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A model's answer, and its confidence in either part; on any scale, higher is more confident."""

    answer: Answer
    long_score: float
    short_score: float


class Judged(NamedTuple):
    """One page and one kind of answer: is there one, was one given, was it correct, and the model's score."""

    has_gold: bool
    has_prediction: bool
    is_right: bool
    score: float


def nq_scores(predictions: Mapping[str, Prediction], golds: Mapping[str, Sequence[Answer]]) -> dict[str, float]:
    """Score a split.

    Args:
        predictions: page id -> prediction; a page without one counts as unanswered.
        golds: page id -> the answers of its annotators.

    Returns:
        With the prefixes ``long_`` and ``short_``: ``f1``, ``precision`` and ``recall`` at the best ``threshold`` for
        F1, and ``recall_at_precision_50``, ``_75`` and ``_90``: the highest recall at a threshold with at least that
        precision, 0 if there is none. In percent; thresholds in the unit of the scores.

    Raises:
        SecateurError: if there are no pages, a page has no annotator, or a prediction belongs to no page.
    """
    _check(predictions, golds)
    scores: dict[str, float] = {}
    for name, judge in (("long", judge_long), ("short", judge_short)):
        judged = [judge(predictions.get(page_id), answers) for page_id, answers in golds.items()]
        scores |= {f"{name}_{figure}": value for figure, value in _figures(judged).items()}
    return scores


def judge_long(prediction: Prediction | None, golds: Sequence[Answer]) -> Judged:
    """Compare the long answer with those of the annotators."""
    given = None if prediction is None or not prediction.answer.has_long else prediction.answer
    has_gold = _is_agreed(gold.has_long for gold in golds)
    is_right = has_gold and given is not None and any(gold.long == given.long for gold in golds)
    return Judged(has_gold, given is not None, is_right, 0.0 if prediction is None else prediction.long_score)


def judge_short(prediction: Prediction | None, golds: Sequence[Answer]) -> Judged:
    """Compare the short answer with those of the annotators; if the model says yes or no, its spans are ignored."""
    given = None if prediction is None or not prediction.answer.has_short else prediction.answer
    has_gold = _is_agreed(gold.has_short for gold in golds)
    is_right = has_gold and given is not None and any(_is_same_short(given, gold) for gold in golds)
    return Judged(has_gold, given is not None, is_right, 0.0 if prediction is None else prediction.short_score)


def _is_same_short(given: Answer, gold: Answer) -> bool:
    return given.yes_no == gold.yes_no if given.yes_no != NONE else set(given.short) == set(gold.short)


def _is_agreed(gave_one: Iterable[bool]) -> bool:
    votes = list(gave_one)
    return sum(votes) >= min(ANNOTATORS_NEEDED, len(votes))


def _figures(judged: Sequence[Judged]) -> dict[str, float]:
    precision_T, recall_T, threshold_T = _curve(judged)
    f1_T = _ratio(2 * precision_T * recall_T, precision_T + recall_T)
    best = int(f1_T.argmax())  # ties go to the highest threshold
    found = f1_T[best] > 0
    figures = {
        "f1": 100 * f1_T[best],
        "precision": 100 * precision_T[best] * found,
        "recall": 100 * recall_T[best] * found,
        "threshold": threshold_T[best] * found,
    }
    for wanted in TARGET_PRECISIONS:
        figures[f"recall_at_precision_{wanted * 100:.0f}"] = 100 * recall_T[precision_T >= wanted].max(initial=0.0)
    return {name: float(value) for name, value in figures.items()}


def _curve(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and threshold at each of the T distinct scores, highest first, (T,) each."""
    order = sorted(judged, key=lambda each: -each.score)
    has_gold, has_prediction, is_right, score = (np.array(column, dtype=float) for column in zip(*order, strict=True))
    is_last = np.append(score[1:] != score[:-1], True)  # the last one of those with the same score
    right_T, given_T = is_right.cumsum()[is_last], has_prediction.cumsum()[is_last]
    return _ratio(right_T, given_T), right_T / max(has_gold.sum(), 1.0), score[is_last]


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Their ratio, 0 where the denominator is 0."""
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)


def _check(predictions: Mapping[str, Prediction], golds: Mapping[str, Sequence[Answer]]) -> None:
    if not golds:
        raise SecateurError("references: there is no page to score; give at least one")
    for page_id, answers in golds.items():
        if not answers:
            raise SecateurError(f"references: page {page_id!r} has no annotator; give at least one")
    strangers = [page_id for page_id in predictions if page_id not in golds]
    if strangers:
        raise SecateurError(f"predictions: {strangers[0]!r} is not a page of the references; remove it")
