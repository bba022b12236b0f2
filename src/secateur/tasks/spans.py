"""From start and end logits to answers: the n best spans of each window, then of each question.

A long document is read in several windows. :func:`best_spans` runs on each batch of windows as it is evaluated and
keeps a few spans of each window; :func:`answers` merges the windows of each question once all have been evaluated.

Shapes: B windows in a batch, W windows in all batches, L tokens of a window, M tokens of the longest answer, N spans
kept per window, X = L·M spans tried per window, C candidate spans of all windows, T tokens of a document, Q questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The best spans of each window of a batch, in descending order of score.

    ``start_BN`` and ``end_BN`` are token positions in the window, both inclusive; if a window has fewer than N spans,
    the remaining entries of ``score_BN`` are -inf and their positions are meaningless. ``null_score_B`` is the score of
    no answer.
    """

    start_BN: Tensor
    end_BN: Tensor
    score_BN: Tensor
    null_score_B: Tensor


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Where each window comes from, in the order of the windows in the batches; integers of shape (W,).

    Position p of window w is token ``first_token[w] + p - document_start[w]`` of the document of
    question ``example[w]``.
    """

    example: ArrayLike
    document_start: ArrayLike
    first_token: ArrayLike


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question's document: its text, and the characters [start, end) of each token, shape (T, 2)."""

    id: str
    context: str
    offsets: NDArray[np.integer]


@dataclass(frozen=True, kw_only=True, slots=True)
class NBest:
    """One candidate answer; no answer is a candidate with the text "" and no ``char_start``.

    ``score`` is the sum of two logits.
    """

    text: str
    score: float
    char_start: int | None


@dataclass(frozen=True, kw_only=True)
class QuestionAnswer:
    """The answer to one question.

    ``prediction`` is "" if no answer was preferred, whereas ``best_answer`` is always the best non-empty text.
    ``null_score_diff`` is the score of no answer minus that of ``best_answer``, in logits; ``n_best`` is in descending
    order of score. For a document without tokens, both texts are "" and the difference is +inf.
    """

    id: str
    prediction: str
    best_answer: str
    null_score_diff: float
    n_best: list[NBest]


def best_spans(
    start_logits_BL: Tensor,
    end_logits_BL: Tensor,
    document_mask_BL: Tensor,
    *,
    n_best_size: int,
    max_answer_length: int,
    cls_position: int = 0,
) -> Spans:
    """Find the ``n_best_size`` spans of each window with the highest sum of start and end logit.

    The search is exact over all spans of at most ``max_answer_length`` tokens that start and end in the document.
    Hugging Face's ``run_qa`` pairs only the ``n_best_size`` best starts with as many best ends, so the k-th span here
    scores at least as high as the k-th there. Equal scores are in no particular order.

    Args:
        start_logits_BL: start logits, (B, L).
        end_logits_BL: end logits, (B, L).
        document_mask_BL: true where a token belongs to the document, (B, L).
        n_best_size: how many spans to keep, N.
        max_answer_length: tokens of the longest span, M.
        cls_position: position of [CLS], which represents no answer, in each window.
    """
    # In float32 also when the logits are half precision: rounding their sums would make many of them tie.
    start_BL, end_BL = start_logits_BL.float(), end_logits_BL.float()
    score_BX = _span_scores(start_BL, end_BL, document_mask_BL, max_answer_length).flatten(1)
    found = min(n_best_size, score_BX.shape[1])
    score_BN, index_BN = score_BX.topk(found)
    fill = (0, n_best_size - found)
    index_BN = functional.pad(index_BN, fill)
    start_BN = index_BN // max_answer_length
    return Spans(
        start_BN=start_BN,
        end_BN=start_BN + index_BN % max_answer_length,
        score_BN=functional.pad(score_BN, fill, value=-math.inf),
        null_score_B=start_BL[:, cls_position] + end_BL[:, cls_position],
    )


def answers(
    spans: Sequence[Spans],
    windows: Windows,
    questions: Sequence[Question],
    *,
    n_best_size: int,
    version_2_with_negative: bool,
    null_score_diff_threshold: float = 0.0,
) -> list[QuestionAnswer]:
    """Merge the windows of each question and pick its answer, as Hugging Face's ``run_qa`` does.

    The score of no answer is the lowest among the question's windows: a single window that contains the answer is
    enough evidence against it. Unlike in ``run_qa``, only the best of several candidates with the same text is kept
    (overlapping windows find most spans twice), and blank candidates are dropped.

    Args:
        spans: the result of :func:`best_spans` for each batch.
        windows: where the windows of all these batches come from, in the same order.
        questions: the questions that ``windows.example`` indexes.
        n_best_size: candidates to keep per question, not counting "no answer".
        version_2_with_negative: whether a question may have no answer, which is then one of the candidates.
        null_score_diff_threshold: predict no answer if ``null_score_diff`` is greater, in logits.

    Returns:
        One answer for each question that has a window, in the order of ``questions``.
    """
    threshold = null_score_diff_threshold if version_2_with_negative else None
    candidates = _candidates(spans, windows)
    null_score_Q = np.full(len(questions), np.inf)
    np.minimum.at(null_score_Q, np.asarray(windows.example), _joined([batch.null_score_B for batch in spans]))
    bounds = np.searchsorted(candidates.example_C, np.arange(len(questions) + 1)).tolist()
    found = []
    for index in np.unique(windows.example).tolist():
        question, rows = questions[index], slice(bounds[index], bounds[index + 1])
        distinct = _distinct(candidates, rows, question, n_best_size)
        null_score = float(null_score_Q[index])
        found.append(_pick(question.id, distinct, null_score=null_score, threshold=threshold))
    return found


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """The spans of all windows in document tokens, sorted by question, then by descending score."""

    example_C: NDArray[np.integer]
    start_C: NDArray[np.integer]
    end_C: NDArray[np.integer]
    score_C: NDArray[np.floating]


def _span_scores(start_BL: Tensor, end_BL: Tensor, document_mask_BL: Tensor, max_answer_length: int) -> Tensor:
    """The score of each span, indexed by its start and its length - 1: (B, L, M), -inf outside the document."""
    outside_BL = ~document_mask_BL.bool()
    start_BL = start_BL.masked_fill(outside_BL, -math.inf)
    end_BL = end_BL.masked_fill(outside_BL, -math.inf)
    end_BLM = functional.pad(end_BL, (0, max_answer_length - 1), value=-math.inf).unfold(1, max_answer_length, 1)
    return start_BL[:, :, None] + end_BLM


def _candidates(spans: Sequence[Spans], windows: Windows) -> _Candidates:
    score_WN = _joined([batch.score_BN for batch in spans])
    window_C, rank_C = np.nonzero(score_WN > -np.inf)
    score_C = score_WN[window_C, rank_C]
    example_C = np.asarray(windows.example)[window_C]
    shift_C = (np.asarray(windows.first_token) - np.asarray(windows.document_start))[window_C]
    order_C = np.lexsort((-score_C, example_C))
    return _Candidates(
        example_C=example_C[order_C],
        start_C=(_joined([batch.start_BN for batch in spans])[window_C, rank_C] + shift_C)[order_C],
        end_C=(_joined([batch.end_BN for batch in spans])[window_C, rank_C] + shift_C)[order_C],
        score_C=score_C[order_C],
    )


def _joined(batches: Sequence[Tensor]) -> NDArray:
    return torch.cat([batch.cpu() for batch in batches]).numpy()


def _distinct(
    candidates: _Candidates, rows: slice, question: Question, n_best_size: int
) -> list[tuple[str, float, int | None]]:
    """Text, score and first character of a question's best candidates whose texts differ."""
    best: dict[str, tuple[str, float, int | None]] = {}
    first_char = question.offsets[candidates.start_C[rows], 0].tolist()
    last_char = question.offsets[candidates.end_C[rows], 1].tolist()
    for begin, end, score in zip(first_char, last_char, candidates.score_C[rows].tolist(), strict=True):
        text = question.context[begin:end]
        if text.strip() and text not in best:
            best[text] = (text, score, begin)
            if len(best) == n_best_size:
                break
    return list(best.values())


def _pick(
    question_id: str,
    distinct: list[tuple[str, float, int | None]],
    *,
    null_score: float,
    threshold: float | None,
) -> QuestionAnswer:
    """Answer with the best text, or with none if ``null_score_diff`` exceeds ``threshold`` (None: always text)."""
    best_answer, best_score, _ = distinct[0] if distinct else ("", -math.inf, None)
    null_score_diff = null_score - best_score
    if threshold is None:
        ranked, is_null = distinct, False
    else:
        ranked = sorted([("", null_score, None), *distinct], key=lambda candidate: -candidate[1])
        is_null = null_score_diff > threshold
    return QuestionAnswer(
        id=question_id,
        prediction="" if is_null else best_answer,
        best_answer=best_answer,
        null_score_diff=null_score_diff,
        n_best=[NBest(text=text, score=score, char_start=char_start) for text, score, char_start in ranked],
    )
