"""The synthetic questions: reproducible, with correct offsets, and as many unanswerable ones as requested."""

from collections import Counter, defaultdict

import pytest
from datasets import DatasetDict

from secateur.data.squad import FEATURES
from secateur.data.toy_qa import toy_qa
from secateur.errors import SecateurError

GOLDEN = {
    "id": "test-0",
    "title": "Thornford",
    "context": (
        "Nils lost some yellow spoons. Wanda painted nine large bells. "
        "Ada borrowed five black ropes. Mara made twelve old drums."
    ),
    "question": "Who made drums?",
    "answers": {"text": ["Mara"], "answer_start": [93]},
}


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return toy_qa(train=1000, test=203, seed=3, unanswerable=0.3)


def test_splits_have_the_numbers_asked_for_and_squads_features(data: DatasetDict):
    assert {split: len(rows) for split, rows in data.items()} == {"train": 1000, "test": 203}
    assert data["train"].features == data["test"].features == FEATURES


def test_every_answer_stands_where_its_offset_says(data: DatasetDict):
    for rows in data.values():
        for row in rows:
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                assert text and row["context"][start : start + len(text)] == text


def test_an_answerable_question_has_one_answer_that_occurs_once(data: DatasetDict):
    """Otherwise a model could be right and be marked wrong."""
    for row in data["train"]:
        assert len(row["answers"]["text"]) <= 1
        assert all(row["context"].split().count(text) <= 1 for text in row["answers"]["text"])


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.25, 50), (0.333, 67), (1, 200)])
def test_share_of_unanswerable_questions_is_met_to_the_question(share: float, count: int):
    rows = toy_qa(train=200, test=1, seed=0, unanswerable=share)["train"]
    assert sum(not row["answers"]["text"] for row in rows) == count


def test_unanswerable_questions_are_of_both_kinds_and_look_like_the_others(data: DatasetDict):
    """The thing is absent, or it is there without the detail; the first word gives neither away."""
    impossible = [row for row in data["train"] if not row["answers"]["text"]]
    present = [_thing(row["question"]) in row["context"].replace(".", "").split() for row in impossible]
    assert 0.1 < sum(present) / len(present) < 0.6
    first = Counter(row["question"].split()[0] for row in impossible)
    assert set(first) == {"Who", "How", "What", "Name"} and min(first.values()) > 20


def test_the_thing_is_always_the_third_word_of_the_question(data: DatasetDict):
    """Moved about, the data set can no longer be learnt from random weights in a minute."""
    for row in data["train"]:
        if row["answers"]["text"]:
            assert _thing(row["question"]) in row["context"].replace(".", "").split()


def test_questions_and_ids_never_repeat_within_their_passage(data: DatasetDict):
    for rows in data.values():
        assert len(set(rows["id"])) == len(rows)
        assert len(set(zip(rows["context"], rows["question"], strict=True))) == len(rows)
    assert not set(data["train"]["id"]) & set(data["test"]["id"])


def test_articles_hold_several_passages_and_are_not_shared_between_splits(data: DatasetDict):
    passages = defaultdict(set)
    for row in data["train"]:
        passages[row["title"]].add(row["context"])
    assert len(passages) >= 30
    assert min(len(of_title) for of_title in passages.values()) >= 2
    assert not set(data["train"]["title"]) & set(data["test"]["title"])


def test_a_small_training_set_still_has_articles_to_hold_out():
    assert len(set(toy_qa(train=200, test=10, seed=0, unanswerable=0.2)["train"]["title"])) == 30


def test_same_arguments_same_questions_and_another_seed_others(data: DatasetDict):
    again = toy_qa(train=1000, test=203, seed=3, unanswerable=0.3)
    other = toy_qa(train=1000, test=203, seed=4, unanswerable=0.3)
    for split, rows in data.items():
        assert rows.to_list() == again[split].to_list()
        assert not set(rows["context"]) & set(other[split]["context"])


def test_questions_are_the_same_in_every_release():
    """A stored predecessor is found again by the generator's settings, so these must keep their meaning."""
    row = toy_qa(train=1, test=1, seed=0, unanswerable=0)["test"][0]
    assert row == GOLDEN


def test_test_questions_do_not_depend_on_the_size_of_the_training_set(data: DatasetDict):
    assert toy_qa(train=5, test=203, seed=3, unanswerable=0.3)["test"].to_list() == data["test"].to_list()


def test_titles_never_run_out_nor_repeat_between_splits():
    data = toy_qa(train=4_000, test=4_000, seed=0, unanswerable=0)
    assert len(set(data["train"]["title"])) == len(set(data["test"]["title"])) == 160
    assert not set(data["train"]["title"]) & set(data["test"]["title"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"train": 0}, "train=0: "), ({"test": -1}, "test=-1: "), ({"unanswerable": 1.5}, "unanswerable=1.5: ")],
)
def test_numbers_out_of_range_are_named(settings: dict[str, float], message: str):
    with pytest.raises(SecateurError, match=f"^{message}"):
        toy_qa(**{"train": 5, "test": 5, "seed": 0, "unanswerable": 0.2, **settings})


def _thing(question: str) -> str:
    return question.split()[2].rstrip("?.")
