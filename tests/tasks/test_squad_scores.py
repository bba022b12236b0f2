"""The rules of the official SQuAD scorers, each on a case worked by hand."""

import random

import pytest

from secateur.errors import SecateurError
from secateur.tasks.squad_scores import (
    normalize_answer,
    question_scores_v1,
    question_scores_v2,
    squad_v1_scores,
    squad_v2_scores,
)


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Quick\tbrown\nFox", "quick brown fox"),
        ("an apple a day", "apple day"),
        ("Anna ate theirs", "anna ate theirs"),  # articles are whole words
        ("U.S.A.", "usa"),
        ("the-end", "theend"),  # punctuation goes first, so no article is left
        ("A.", ""),
        ("'the'", ""),
        ("$1,000.50", "100050"),
        ("“Café” … Ünïted", "“café” … ünïted"),  # only ASCII punctuation goes, accents stay
        ("a\u00a0b", "b"),  # a no-break space is white space
        ("the東京", "the東京"),  # a letter of any script continues the word
        ("", ""),
    ],
)
def test_normalisation(text: str, normalized: str) -> None:
    assert normalize_answer(text) == normalized


def test_f1_counts_each_shared_token_as_often_as_both_have_it() -> None:
    # "new new york" and "new york york" share new once and york once: P = R = 2/3.
    assert question_scores_v1("new new York", ["new York York"]) == (0.0, pytest.approx(2 / 3))
    # Two of two tokens right, two of four found.
    assert question_scores_v1("Bay Area", ["the San Francisco Bay Area"]) == (0.0, pytest.approx(2 / 3))


def test_em_and_f1_each_take_their_own_best_gold_answer() -> None:
    em, f1 = question_scores_v1("the red car", ["blue car", "Red car!", "car"])
    assert (em, f1) == (1.0, 1.0)
    assert question_scores_v1("red car", ["bus", "car"]) == (0.0, pytest.approx(2 / 3))


def test_scorers_differ_on_f1_where_nothing_is_left_on_either_side() -> None:
    assert question_scores_v1("the", ["a"]) == (1.0, 0.0)
    assert question_scores_v2("the", [""]) == (1.0, 1.0)
    assert question_scores_v1("", ["x"]) == question_scores_v2("", ["x"]) == (0.0, 0.0)


def test_v2_drops_golds_that_normalise_to_nothing() -> None:
    assert question_scores_v2("", ["the", "x"]) == (0.0, 0.0)
    assert question_scores_v2("x", ["the", "x"]) == (1.0, 1.0)
    assert question_scores_v2("", ["the", "..."]) == (1.0, 1.0)
    assert question_scores_v2("x", ["the"]) == (0.0, 0.0)
    assert question_scores_v2("x", []) == (0.0, 0.0)


def test_v1_means_are_percent_over_the_references() -> None:
    references = {"1": ["a cat"], "2": ["black dog"], "3": ["x"], "4": ["y"]}
    predictions = {"1": "Cat", "2": "dog", "3": "z", "4": "", "elsewhere": "y"}
    assert squad_v1_scores(predictions, references) == {
        "em": 25.0,
        "f1": pytest.approx(100 * (1 + 2 / 3) / 4),
    }


def test_v1_agrees_with_torchmetrics() -> None:
    """An independent implementation of v1.1 gives the same figures on random answers.

    Each has a word that survives normalisation: where none does, torchmetrics gives v2.0's F1 of 1.
    """
    text_metrics = pytest.importorskip("torchmetrics.text")
    draw = random.Random(0)
    words = ["the", "a", "an", "U.S.", "cat", "Cat,", "dog", "—", "42", "émigré", "."]

    def answer() -> str:
        return " ".join([*draw.choices(words, k=draw.randint(0, 4)), draw.choice(["cat", "U.S.", "42"])])

    references = {str(i): [answer() for _ in range(draw.randint(1, 4))] for i in range(300)}
    predictions = {key: answer() for key in references}
    theirs = text_metrics.SQuAD()(
        [{"prediction_text": text, "id": key} for key, text in predictions.items()],
        [{"answers": {"answer_start": [0], "text": golds}, "id": key} for key, golds in references.items()],
    )
    ours = squad_v1_scores(predictions, references)
    assert ours["em"] == pytest.approx(float(theirs["exact_match"]), rel=1e-5)
    assert ours["f1"] == pytest.approx(float(theirs["f1"]), rel=1e-5)


def test_v2_splits_by_whether_there_are_golds_at_all() -> None:
    # "only articles" is answerable, for it has a gold answer, although "" is what scores there.
    references = {"hit": ["cat"], "half": ["black dog"], "only articles": ["the"], "none": [], "wrong": []}
    predictions = {"hit": "the cat", "half": "dog", "only articles": "", "none": "", "wrong": "x"}
    assert squad_v2_scores(predictions, references) == {
        "em": 60.0,
        "f1": pytest.approx(100 * (3 + 2 / 3) / 5),
        "has_ans_em": pytest.approx(200 / 3),
        "has_ans_f1": pytest.approx(100 * (2 + 2 / 3) / 3),
        "no_ans_em": 50.0,
        "no_ans_f1": 50.0,
    }


def test_v2_leaves_out_a_split_without_questions() -> None:
    assert set(squad_v2_scores({"1": "x"}, {"1": ["x"]})) == {"em", "f1", "has_ans_em", "has_ans_f1"}
    assert set(squad_v2_scores({"1": ""}, {"1": []})) == {"em", "f1", "no_ans_em", "no_ans_f1"}


def _best(
    answers: dict[str, str], references: dict[str, list[str]], scores: dict[str, float]
) -> tuple[float, float, float, float]:
    result = squad_v2_scores(dict.fromkeys(references, ""), references, no_answer_scores=scores, best_answers=answers)
    return tuple(result[key] for key in ("best_em", "best_em_threshold", "best_f1", "best_f1_threshold"))  # type: ignore[return-value]


def test_threshold_search_by_hand() -> None:
    references = {"p": ["cat"], "q": [], "r": ["black dog"], "s": []}
    answers = {"p": "cat", "q": "x", "r": "dog", "s": "y"}
    scores = {"s": 5.0, "r": 1.0, "p": -2.0, "q": 0.0}
    # No answers at all: 2. Then by score p (+1), q (-1), r (EM +0, F1 +2/3), s (-1): the best is 3, after p.
    assert _best(answers, references, scores) == (75.0, -2.0, 75.0, -2.0)
    # With q the least likely to be answered, r adds to F1 and not to EM.
    scores["q"] = 2.0
    assert _best(answers, references, scores) == (75.0, -2.0, pytest.approx(100 * (3 + 2 / 3) / 4), 1.0)


def test_threshold_is_zero_where_answering_nothing_is_best() -> None:
    assert _best({"p": "wrong", "q": "x"}, {"p": ["cat"], "q": []}, {"p": -3.0, "q": -1.0}) == (50, 0, 50, 0)


def test_tied_scores_are_taken_one_by_one_in_the_order_given() -> None:
    references, answers = {"p": ["cat"], "q": []}, {"p": "cat", "q": "x"}
    # No threshold can separate the two, yet the official search stops between them when p comes first.
    assert _best(answers, references, {"p": 1.0, "q": 1.0}) == (100, 1, 100, 1)
    assert _best(answers, references, {"q": 1.0, "p": 1.0}) == (50, 0, 50, 0)


def test_an_equal_total_does_not_move_the_threshold() -> None:
    references = {"p": ["cat"], "q": [], "r": ["dog"]}
    answers = {"p": "cat", "q": "x", "r": "dog"}
    assert _best(answers, references, {"p": 1.0, "q": 2.0, "r": 3.0}) == (pytest.approx(200 / 3), 1.0) * 2


def test_unanswerable_questions_are_lost_by_any_text_and_kept_by_none() -> None:
    # "the" normalises to nothing and scores EM 1, but the search looks at the text itself.
    references, scores = {"q": [], "p": ["cat"]}, {"q": 0.0, "p": 1.0}
    assert _best({"q": "the", "p": "cat"}, references, scores)[:2] == (50.0, 0.0)
    assert _best({"q": "", "p": "cat"}, references, scores)[:2] == (100.0, 1.0)


def test_search_reads_the_predictions_without_best_answers_and_ignores_strangers() -> None:
    references = {"p": ["cat"], "q": []}
    result = squad_v2_scores(
        {"p": "cat", "q": "x"}, references, no_answer_scores={"p": 0.25, "q": 0.5, "stranger": 0.0}
    )
    assert (result["em"], result["best_em"], result["best_em_threshold"]) == (50.0, 100.0, 0.25)


def test_best_threshold_gives_the_best_score_when_applied() -> None:
    """Without ties, predicting "" above the threshold found scores just what the search promised."""
    draw = random.Random(1)
    references = {str(i): [] if draw.random() < 0.4 else ["red cat"] for i in range(200)}
    answers = {key: draw.choice(["cat", "red cat", "dog"]) for key in references}
    scores = {key: draw.gauss(1.0 if not golds else -1.0, 1.5) for key, golds in references.items()}
    found = squad_v2_scores(answers, references, no_answer_scores=scores)
    for name in ("em", "f1"):
        threshold = found[f"best_{name}_threshold"]
        predictions = {key: "" if scores[key] > threshold else text for key, text in answers.items()}
        assert squad_v2_scores(predictions, references)[name] == pytest.approx(found[f"best_{name}"])


def test_missing_entries_are_named_and_counted() -> None:
    references = {"one": ["x"], "two": ["y"], "three": []}
    with pytest.raises(SecateurError, match=r"predictions: .*'two' \(2 of 3"):
        squad_v1_scores({"one": "x"}, references)
    with pytest.raises(SecateurError, match=r"predictions: .*'two' \(2 of 3"):
        squad_v2_scores({"one": "x"}, references)
    full = dict.fromkeys(references, "x")
    with pytest.raises(SecateurError, match=r"no_answer_scores: .*'three' \(1 of 3"):
        squad_v2_scores(full, references, no_answer_scores={"one": 0.0, "two": 0.0})
    with pytest.raises(SecateurError, match=r"best_answers: .*'one' \(3 of 3"):
        squad_v2_scores(full, references, no_answer_scores=dict.fromkeys(full, 0.0), best_answers={})


def test_data_that_a_scorer_cannot_take_is_refused() -> None:
    with pytest.raises(SecateurError, match=r"'q' has no gold answer.*version_2_with_negative"):
        squad_v1_scores({"q": ""}, {"q": []})
    with pytest.raises(SecateurError, match="no question to score"):
        squad_v2_scores({}, {})
