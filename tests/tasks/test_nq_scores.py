"""Scores of Natural Questions on hand-worked cases, one for each rule of the official scorer."""

from __future__ import annotations

import pytest

from secateur.data.page_formats import NO_SPAN, NONE, YES
from secateur.errors import SecateurError
from secateur.tasks.nq_scores import Answer, Prediction, judge_long, judge_short, nq_scores

NOTHING = Answer(NO_SPAN, [])
LONG = Answer((10, 20), [])
SHORT = Answer((10, 20), [(12, 14)])
TWO = Answer((10, 20), [(12, 14), (16, 17)])
SAYS_YES = Answer((10, 20), [], YES)


def predicted(answer: Answer, score: float = 1.0) -> Prediction:
    return Prediction(answer=answer, long_score=score, short_score=score)


@pytest.mark.parametrize(("votes", "expected"), [(0, False), (1, False), (2, True), (5, True)])
def test_two_of_five_annotators_make_an_answer(votes: int, expected: bool) -> None:
    golds = [SHORT] * votes + [NOTHING] * (5 - votes)
    assert judge_long(None, golds).has_gold is expected
    assert judge_short(None, golds).has_gold is expected


def test_yes_or_no_counts_as_a_short_answer() -> None:
    assert judge_short(None, [SHORT, SAYS_YES, NOTHING, NOTHING, NOTHING]).has_gold
    assert not judge_short(None, [SHORT, LONG, LONG, NOTHING, NOTHING]).has_gold


@pytest.mark.parametrize(("gold", "expected"), [(SHORT, True), (NOTHING, False)])
def test_a_single_annotator_decides(gold: Answer, expected: bool) -> None:
    """Training data, and so ``val``, have one."""
    assert judge_short(None, [gold]).has_gold is expected


def test_a_long_answer_is_right_if_one_annotator_gave_it() -> None:
    golds = [Answer((0, 9), []), Answer((10, 20), []), NOTHING, NOTHING, NOTHING]
    assert judge_long(predicted(LONG), golds) == (True, True, True, 1.0)
    assert judge_long(predicted(Answer((10, 21), [])), golds) == (True, True, False, 1.0)


def test_nothing_is_right_where_there_is_no_answer() -> None:
    """One annotator alone gave it: the page has none, and an answer counts against precision."""
    golds = [LONG, NOTHING, NOTHING, NOTHING, NOTHING]
    assert judge_long(predicted(LONG), golds) == (False, True, False, 1.0)


def test_short_answers_are_compared_as_sets() -> None:
    golds = [TWO, TWO, NOTHING, NOTHING, NOTHING]
    other_order = Answer((10, 20), [(16, 17), (12, 14)])
    assert judge_short(predicted(other_order), golds).is_right
    assert not judge_short(predicted(SHORT), golds).is_right, "one span of two"
    assert judge_short(predicted(SHORT), [TWO, SHORT, NOTHING, NOTHING, NOTHING]).is_right, "all of one annotator's"
    assert not judge_short(predicted(TWO), [SHORT, Answer((10, 20), [(16, 17)]), NOTHING]).is_right, "of two annotators"


def test_yes_and_no_are_compared_by_themselves() -> None:
    golds = [SAYS_YES, SHORT, NOTHING, NOTHING, NOTHING]
    assert judge_short(predicted(SAYS_YES), golds).is_right
    assert judge_short(predicted(Answer((10, 20), [(1, 2)], YES)), golds).is_right, "beside a yes, spans do not count"
    assert not judge_short(predicted(Answer((10, 20), [], "NO")), golds).is_right
    assert judge_short(predicted(SHORT), golds).is_right


def test_a_page_without_a_prediction_is_not_answered() -> None:
    assert judge_long(None, [LONG, LONG]) == (True, False, False, 0.0)
    scores = nq_scores({"a": predicted(SHORT)}, {"a": [SHORT, SHORT], "b": [SHORT, SHORT]})
    assert scores["short_precision"] == 100
    assert scores["short_recall"] == 50


def test_the_threshold_is_the_best_for_f1() -> None:
    """By falling score: right, wrong, right, wrong, wrong; of four pages with an answer.

    Precision and recall are 1/1 1/4, 1/2 1/4, 2/3 2/4, 2/4 2/4, 2/5 2/4; F1 is 0.4, 1/3, 4/7, 1/2, 4/9.
    """
    wrong = Answer((0, 9), [(1, 2)])
    answers = {"a": (SHORT, 9.0), "b": (wrong, 8.0), "c": (SHORT, 7.0), "d": (wrong, 6.0), "e": (wrong, 5.0)}
    golds = {name: [SHORT] * 5 for name in "abcd"} | {"e": [NOTHING] * 5}
    scores = nq_scores({name: predicted(answer, score) for name, (answer, score) in answers.items()}, golds)
    for kind in ("long", "short"):
        assert scores[f"{kind}_f1"] == pytest.approx(100 * 4 / 7)
        assert scores[f"{kind}_precision"] == pytest.approx(100 * 2 / 3)
        assert scores[f"{kind}_recall"] == pytest.approx(50)
        assert scores[f"{kind}_threshold"] == 7.0
        assert scores[f"{kind}_recall_at_precision_50"] == pytest.approx(50)
        assert scores[f"{kind}_recall_at_precision_75"] == pytest.approx(25)
        assert scores[f"{kind}_recall_at_precision_90"] == pytest.approx(25)


def test_equal_scores_share_their_fate() -> None:
    """A right answer cannot be told from a wrong one of the same score, in whatever order they come."""
    wrong = Answer((0, 9), [])
    golds = {name: [LONG] * 5 for name in "ab"}
    for first, second in ((LONG, wrong), (wrong, LONG)):
        scores = nq_scores({"a": predicted(first), "b": predicted(second)}, golds)
        assert (scores["long_precision"], scores["long_recall"]) == (50, 50)
        assert scores["long_recall_at_precision_75"] == 0


def test_predictions_of_nothing_take_no_part_in_precision() -> None:
    """The page that is not answered has the highest score; it is neither right nor wrong."""
    golds = {"a": [LONG] * 5, "b": [NOTHING] * 5}
    scores = nq_scores({"a": predicted(LONG, 1.0), "b": predicted(NOTHING, 2.0)}, golds)
    assert (scores["long_f1"], scores["long_threshold"]) == (100, 1.0)


def test_nothing_right_is_nought_throughout() -> None:
    scores = nq_scores({"a": predicted(LONG)}, {"a": [NOTHING] * 5})
    assert set(scores.values()) == {0.0}
    assert Answer(NO_SPAN, []).yes_no == NONE


@pytest.mark.parametrize(
    ("predictions", "golds", "message"),
    [
        ({}, {}, "references: there is no page"),
        ({}, {"a": []}, "page 'a' has no annotator"),
        ({"b": predicted(LONG)}, {"a": [LONG]}, "predictions: 'b' is not a page"),
    ],
)
def test_what_does_not_belong_together_is_refused(predictions, golds, message) -> None:
    with pytest.raises(SecateurError, match=message):
        nq_scores(predictions, golds)
