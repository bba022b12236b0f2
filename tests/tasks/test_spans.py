"""Decoding of start and end logits, against brute force and on hand-worked cases."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from secateur.tasks.spans import Question, QuestionAnswer, Spans, Windows, answers, best_spans


def _brute_force(start: Tensor, end: Tensor, mask: Tensor, longest: int) -> dict[tuple[int, int], float]:
    positions = [p for p in range(len(mask)) if mask[p]]
    return {(i, j): (start[i] + end[j]).item() for i in positions for j in positions if i <= j < i + longest}


@pytest.mark.parametrize("longest", [1, 3, 50])
def test_best_spans_are_the_exact_top_n(longest: int) -> None:
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 5, 17, generator=generator)
    mask = (torch.arange(17) >= 4) & (torch.arange(17) < torch.tensor([[17], [16], [9], [6], [5]]))
    spans = best_spans(start, end, mask, n_best_size=20, max_answer_length=longest)
    for row in range(5):
        expected = _brute_force(start[row], end[row], mask[row], longest)
        count = min(20, len(expected))
        found = [(i.item(), j.item()) for i, j in zip(spans.start_BN[row], spans.end_BN[row], strict=True)][:count]
        assert spans.score_BN[row, :count].tolist() == sorted(expected.values(), reverse=True)[:count]
        assert [expected[span] for span in found] == spans.score_BN[row, :count].tolist()
        assert spans.score_BN[row, count:].eq(-math.inf).all()
    assert torch.equal(spans.null_score_B, start[:, 0] + end[:, 0])


def test_windows_shorter_than_the_list_are_filled_up() -> None:
    spans = best_spans(
        torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([[0, 0, 1]]), n_best_size=8, max_answer_length=2
    )
    assert spans.start_BN.shape == spans.end_BN.shape == spans.score_BN.shape == (1, 8)
    assert spans.score_BN.tolist() == [[0.0] + [-math.inf] * 7]
    assert (spans.start_BN[0, 0], spans.end_BN[0, 0]) == (2, 2)


def test_a_window_without_document_has_no_span() -> None:
    spans = best_spans(torch.ones(1, 4), torch.ones(1, 4), torch.zeros(1, 4).bool(), n_best_size=2, max_answer_length=2)
    assert spans.score_BN.tolist() == [[-math.inf, -math.inf]]
    assert spans.null_score_B.tolist() == [2.0]


def test_spans_beyond_the_best_starts_and_ends_are_found() -> None:
    """The best start and the best end make no span; pairing only those two would find nothing."""
    start = torch.tensor([[0.0, 1.0, 2.0, 9.0]])
    end = torch.tensor([[0.0, 9.0, 2.0, 1.0]])
    mask = torch.tensor([[False, True, True, True]])
    spans = best_spans(start, end, mask, n_best_size=1, max_answer_length=1)
    assert spans.score_BN.item() == 10.0
    spans = best_spans(start[:, :3], end[:, [0, 3, 2]], mask[:, :3], n_best_size=1, max_answer_length=2)
    assert (spans.start_BN.item(), spans.end_BN.item(), spans.score_BN.item()) == (2, 2, 4.0)


def test_half_precision_logits_are_added_in_float32() -> None:
    start = torch.tensor([[0.0, 8.0, 8.0]], dtype=torch.bfloat16)
    end = torch.tensor([[0.0, 0.0078125, 0.015625]], dtype=torch.bfloat16)
    spans = best_spans(start, end, torch.tensor([[False, True, True]]), n_best_size=3, max_answer_length=1)
    assert spans.score_BN.tolist() == [[8.015625, 8.0078125, -math.inf]]


CONTEXT = "red cat, red dog"
OFFSETS = np.array([[0, 3], [4, 7], [7, 8], [9, 12], [13, 16]])  # red cat , red dog
QUESTION = Question(id="q", context=CONTEXT, offsets=OFFSETS)


def _spans(*windows: tuple[float, list[tuple[int, int, float]]]) -> Spans:
    """One batch; each window is its null score and (start, end, score) of each of its spans."""
    width = max(len(found) for _, found in windows)
    filled = [found + [(0, 0, -math.inf)] * (width - len(found)) for _, found in windows]
    return Spans(
        start_BN=torch.tensor([[span[0] for span in found] for found in filled]),
        end_BN=torch.tensor([[span[1] for span in found] for found in filled]),
        score_BN=torch.tensor([[span[2] for span in found] for found in filled]),
        null_score_B=torch.tensor([null for null, _ in windows]),
    )


def _answer(spans: Spans, *, first_token: list[int], **options: object) -> QuestionAnswer:
    windows = Windows(example=[0] * len(first_token), document_start=[3] * len(first_token), first_token=first_token)
    settings = {"n_best_size": 5, "version_2_with_negative": True} | options
    (answer,) = answers([spans], windows, [QUESTION], **settings)  # type: ignore[arg-type]
    return answer


def test_window_positions_become_text_of_the_document() -> None:
    # Position 3 is the window's first document token, which is token 3 of the document: the second "red".
    answer = _answer(_spans((0.0, [(3, 4, 2.0)])), first_token=[3])
    assert answer.prediction == "red dog"
    assert answer.n_best[0].char_start == 9
    assert CONTEXT[answer.n_best[0].char_start :].startswith(answer.prediction)


def test_windows_are_merged_by_score_and_the_lowest_null_score_counts() -> None:
    spans = _spans((1.0, [(4, 4, 3.0), (3, 4, 2.5)]), (-2.0, [(4, 4, 4.0)]))
    answer = _answer(spans, first_token=[0, 3])
    assert [(best.text, best.score) for best in answer.n_best] == [
        ("dog", 4.0),
        ("cat", 3.0),
        ("red cat", 2.5),
        ("", -2.0),
    ]
    assert answer.null_score_diff == -6.0
    assert answer.n_best[-1].char_start is None


def test_the_same_text_is_kept_once_at_its_best() -> None:
    """A span found again in an overlapping window, or the same text elsewhere, is no second candidate."""
    spans = _spans((0.0, [(3, 3, 3.0), (6, 6, 1.0)]), (0.0, [(3, 3, 2.0), (4, 4, 1.5)]))
    answer = _answer(spans, first_token=[0, 0])
    assert [(best.text, best.score, best.char_start) for best in answer.n_best] == [
        ("red", 3.0, 0),
        ("cat", 1.5, 4),
        ("", 0.0, None),
    ]


def test_no_answer_is_in_the_list_where_it_is_allowed() -> None:
    spans = _spans((1.0, [(4, 4, 2.0), (7, 7, 0.0)]))
    with_null = _answer(spans, first_token=[0])
    assert [best.text for best in with_null.n_best] == ["cat", "", "dog"]
    without = _answer(spans, first_token=[0], version_2_with_negative=False)
    assert [best.text for best in without.n_best] == ["cat", "dog"]


@pytest.mark.parametrize(("threshold", "prediction"), [(0.0, ""), (0.75, ""), (1.0, "cat"), (2.0, "cat")])
def test_no_answer_is_predicted_only_above_the_threshold(threshold: float, prediction: str) -> None:
    spans = _spans((3.0, [(4, 4, 2.0)]))
    answer = _answer(spans, first_token=[0], null_score_diff_threshold=threshold)
    assert (answer.prediction, answer.best_answer, answer.null_score_diff) == (prediction, "cat", 1.0)


def test_data_without_unanswerable_questions_is_always_answered() -> None:
    answer = _answer(_spans((9.0, [(4, 4, 2.0)])), first_token=[0], version_2_with_negative=False)
    assert (answer.prediction, answer.null_score_diff) == ("cat", 7.0)


def test_the_list_is_cut_to_its_size_besides_no_answer() -> None:
    spans = _spans((9.0, [(3, 3, 3.0), (4, 4, 2.0), (5, 5, 1.0)]))
    answer = _answer(spans, first_token=[0], n_best_size=2)
    assert [best.text for best in answer.n_best] == ["", "red", "cat"]


def test_blank_texts_are_no_answers() -> None:
    """Byte-level tokenizers make tokens of white space alone, or of no characters at all."""
    question = Question(id="q", context="a  b", offsets=np.array([[0, 1], [1, 1], [1, 3], [3, 4]]))
    spans = _spans((0.0, [(1, 1, 9.0), (2, 2, 8.0), (3, 3, 7.0)]))
    windows = Windows(example=[0], document_start=[0], first_token=[0])
    (answer,) = answers([spans], windows, [question], n_best_size=3, version_2_with_negative=False)
    assert [best.text for best in answer.n_best] == ["b"]


@pytest.mark.parametrize("negative", [True, False])
def test_an_empty_document_is_answered_with_nothing(negative: bool) -> None:
    question = Question(id="q", context="", offsets=np.zeros((0, 2), dtype=int))
    windows = Windows(example=[0], document_start=[3], first_token=[0])
    spans = _spans((1.0, [(0, 0, -math.inf)]))
    (answer,) = answers([spans], windows, [question], n_best_size=3, version_2_with_negative=negative)
    assert (answer.prediction, answer.best_answer, answer.null_score_diff) == ("", "", math.inf)
    assert len(answer.n_best) == negative


def test_batches_in_any_order_answer_the_questions_in_theirs() -> None:
    """Windows come sorted by length, from batches of different widths; questions never seen are left out."""
    questions = [Question(id=name, context=CONTEXT, offsets=OFFSETS) for name in ("a", "b", "unseen", "c")]
    batches = [
        _spans((0.0, [(4, 4, 1.0)]), (0.0, [(5, 5, 2.0)])),
        _spans((0.0, [(2, 2, 3.0)]), (-1.0, [(1, 2, 0.5)])),
    ]
    windows = Windows(
        example=torch.tensor([3, 0, 1, 3]), document_start=np.array([1, 1, 2, 1]), first_token=[1, 0, 0, 3]
    )
    found = answers(batches, windows, questions, n_best_size=3, version_2_with_negative=False)
    assert [(answer.id, answer.prediction) for answer in found] == [("a", "dog"), ("b", "red"), ("c", "dog")]
    assert [best.text for best in found[2].n_best] == ["dog", "red dog"]
    assert found[2].null_score_diff == -2.0
