"""Exact match and F1 of SQuAD answers, by the rules of the two official scorers.

* v1.1 (Rajpurkar et al. 2016, arXiv:1606.05250): every question has an answer.
* v2.0 (Rajpurkar et al. 2018, arXiv:1806.03822): the correct answer to an unanswerable question is "".

The two agree on normalisation and differ where nothing is left after it: an empty prediction against an empty
gold answer has F1 = 0 under v1.1 and F1 = 1 under v2.0 (EM = 1 under both).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from secateur.errors import SecateurError

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower-case, delete ASCII punctuation, then blank out the articles a, an, the, then squeeze white space.

    The order matters: "A.D." becomes "ad" before articles are looked for, and "the-end" becomes "theend".
    """
    without_punctuation = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", without_punctuation).split())


def question_scores_v1(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    """EM and F1 of one answer under v1.1, each in [0, 1] and each the best over ``golds`` (at least one)."""
    predicted = normalize_answer(prediction)
    normalized = [normalize_answer(gold) for gold in golds]
    return float(predicted in normalized), max(_f1_v1(predicted, gold) for gold in normalized)


def question_scores_v2(prediction: str, golds: Sequence[str]) -> tuple[float, float]:
    """EM and F1 of one answer under v2.0, each in [0, 1] and each the best over ``golds``.

    Gold answers that normalise to nothing are dropped; if none is left, only an answer that normalises to nothing is
    correct.
    """
    predicted = normalize_answer(prediction)
    normalized = [text for text in map(normalize_answer, golds) if text] or [""]
    return float(predicted in normalized), max(_f1_v2(predicted, gold) for gold in normalized)


def squad_v1_scores(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Score a data set without unanswerable questions.

    Args:
        predictions: question id to answer; ids without a reference are ignored.
        references: question id to its gold answers.

    Returns:
        ``em`` and ``f1``, means over the references in percent (0-100).

    Raises:
        SecateurError: if there is no reference, a reference has no gold answer or a question no prediction.
    """
    _check_complete("predictions", predictions, references)
    unanswerable = [key for key, golds in references.items() if not golds]
    if unanswerable:
        raise SecateurError(
            f"references: question {unanswerable[0]!r} has no gold answer; score data with unanswerable "
            "questions with version_2_with_negative=true"
        )
    scores = {key: question_scores_v1(predictions[key], golds) for key, golds in references.items()}
    return _means(scores.values())


def squad_v2_scores(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    no_answer_scores: Mapping[str, float] | None = None,
    best_answers: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Score a data set with unanswerable questions; ``predictions`` count as they are, no threshold applied.

    With ``no_answer_scores``, this also searches for the threshold above which predicting no answer scores best. The
    search needs an answer to every question, so it reads ``best_answers``: the best *non-empty* answer to each, before
    any threshold. Without them it reads ``predictions``, which is correct only if these were made without a threshold:
    no threshold can recover a question already answered by "".

    The search is exactly the official one, including its three quirks: questions with tied scores are still processed
    one by one, in the order of ``no_answer_scores``, so the optimum may fall between them; an unanswerable question
    counts as wrong whenever its answer isn't "", even if that answer normalises to nothing; and if answering no
    question at all is best, the threshold is reported as 0.

    Args:
        predictions: question id to answer, "" for none; ids without a reference are ignored.
        references: question id to its gold answers; an empty sequence marks an unanswerable question.
        no_answer_scores: question id to the evidence for no answer, a probability or a difference of logits.
        best_answers: question id to its best non-empty answer.

    Returns:
        ``em`` and ``f1`` over all questions; ``has_ans_em``, ``has_ans_f1`` over the answerable and ``no_ans_em``,
        ``no_ans_f1`` over the unanswerable ones, if there are any; with ``no_answer_scores`` also ``best_em``,
        ``best_f1`` and ``best_em_threshold``, ``best_f1_threshold`` (no answer if the score is *greater*). In percent
        (0-100); thresholds in the unit of the scores.

    Raises:
        SecateurError: if there is no reference, or a question has no prediction, score or best answer.
    """
    _check_complete("predictions", predictions, references)
    scores = {key: question_scores_v2(predictions[key], golds) for key, golds in references.items()}
    result = _means(scores.values())
    for prefix, answerable in (("has_ans_", True), ("no_ans_", False)):
        part = [scores[key] for key, golds in references.items() if bool(golds) == answerable]
        if part:
            result |= {prefix + name: value for name, value in _means(part).items()}
    if no_answer_scores is not None:
        answers = predictions if best_answers is None else best_answers
        result |= _best_scores(answers, references, no_answer_scores)
    return result


def _f1_v1(predicted: str, gold: str) -> float:
    predicted_tokens, gold_tokens = predicted.split(), gold.split()
    shared = sum((Counter(predicted_tokens) & Counter(gold_tokens)).values())
    if shared == 0:
        return 0.0
    precision = shared / len(predicted_tokens)
    recall = shared / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)


def _f1_v2(predicted: str, gold: str) -> float:
    return _f1_v1(predicted, gold) if predicted and gold else float(predicted == gold)


def _means(scores: Iterable[tuple[float, float]]) -> dict[str, float]:
    em, f1 = zip(*scores, strict=True)
    return {"em": 100.0 * sum(em) / len(em), "f1": 100.0 * sum(f1) / len(f1)}


def _best_scores(
    answers: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    no_answer_scores: Mapping[str, float],
) -> dict[str, float]:
    _check_complete("best_answers", answers, references)
    _check_complete("no_answer_scores", no_answer_scores, references)
    order = sorted((key for key in no_answer_scores if key in references), key=no_answer_scores.__getitem__)
    scores = [question_scores_v2(answers[key], references[key]) for key in order]
    result = {}
    for name, column in (("em", 0), ("f1", 1)):
        gains = [
            score[column] if references[key] else -float(answers[key] != "")
            for key, score in zip(order, scores, strict=True)
        ]
        best, answered = _best_prefix(gains, first=sum(not golds for golds in references.values()))
        result[f"best_{name}"] = 100.0 * best / len(references)
        result[f"best_{name}_threshold"] = no_answer_scores[order[answered - 1]] if answered else 0.0
    return result


def _best_prefix(gains: Sequence[float], *, first: float) -> tuple[float, int]:
    """The highest running total of ``gains``, starting at ``first``, and the number of gains it includes."""
    best = total = first
    length = 0
    for index, gain in enumerate(gains, start=1):
        total += gain
        if total > best:
            best, length = total, index
    return best, length


def _check_complete(name: str, given: Mapping[str, Any], references: Mapping[str, Sequence[str]]) -> None:
    if not references:
        raise SecateurError("references: there is no question to score; give at least one")
    missing = [key for key in references if key not in given]
    if missing:
        raise SecateurError(
            f"{name}: nothing for question {missing[0]!r} ({len(missing)} of {len(references)} are missing); "
            "give one entry for each question"
        )
