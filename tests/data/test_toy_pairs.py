"""The synthetic sentence pairs: reproducible, balanced, and learnable only by comparing the two texts."""

import time
from collections import Counter, defaultdict

import pytest
from datasets import Dataset, DatasetDict

from secateur.data.toy_pairs import FEATURES, toy_pairs
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError

ENTAILMENT, NOT_ENTAILMENT = 0, 1
GOLDEN: list[dict[str, object]] = [
    {
        "title": "Thornford",
        "text": "Olga mended five green chairs. Viktor bought six white drums.",
        "text_pair": "The drums were golden.",
        "label": 1,
    },
    {
        "title": "Thornford",
        "text": "Olga mended five green chairs. Viktor bought six white drums.",
        "text_pair": "The chairs were emerald.",
        "label": 0,
    },
]


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return toy_pairs(train=4000, test=1000, seed=3)


def test_splits_have_the_numbers_asked_for_and_named_labels(data: DatasetDict):
    assert {split: len(rows) for split, rows in data.items()} == {"train": 4000, "test": 1000}
    assert data["train"].features == data["test"].features == FEATURES
    assert FEATURES["label"].names == ["entailment", "not_entailment"]


def test_labels_are_balanced_in_every_premise(data: DatasetDict):
    for rows in data.values():
        for first in range(0, len(rows), 2):
            pair = rows[first : first + 2]
            assert pair["text"][0] == pair["text"][1]
            assert sorted(pair["label"]) == [ENTAILMENT, NOT_ENTAILMENT]


def test_the_label_follows_from_the_premise(data: DatasetDict):
    """Read back with a dictionary learnt from the premises of one sentence: nothing entailed is labelled otherwise."""
    meanings = _meanings(data["train"])
    for row in data["test"]:
        thing, word = _asked(row)
        sentence = next(sentence for sentence in row["text"].split(".") if thing in sentence.split())
        said = {meaning for meaning in sentence.split() if meaning in meanings[word]}
        assert bool(said) == (row["label"] == ENTAILMENT)


def test_a_wrong_detail_may_be_right_of_the_other_sentence(data: DatasetDict):
    """Otherwise it would do to look for the detail anywhere in the premise."""
    meanings = _meanings(data["train"])
    wrong = [row for row in data["train"] if row["label"] == NOT_ENTAILMENT and not _is_single(row)]
    elsewhere = [row for row in wrong if set(row["text"].replace(".", "").split()) & meanings[_asked(row)[1]]]
    assert 0.15 < len(elsewhere) / len(wrong) < 0.35


@pytest.mark.parametrize("column", ["text", "text_pair"])
def test_neither_half_alone_tells_the_label(data: DatasetDict, column: str):
    """The words of one half, each voting with its share of entailment in training, do no better than chance."""
    votes = _votes(data["train"], column)
    right = sum((sum(votes[word] for word in row[column].split()) > 0) == (row["label"] == 0) for row in data["test"])
    assert 0.45 < right / len(data["test"]) < 0.55


def test_the_number_of_words_in_common_tells_nothing(data: DatasetDict):
    """Details are said in other words; the thing alone is named alike."""
    for row in data["train"]:
        assert set(row["text"].replace(".", "").split()) & set(row["text_pair"].split()) == {_asked(row)[0]}


def test_the_detail_is_always_the_fourth_word_of_the_hypothesis(data: DatasetDict):
    """Moved about, the data set can no longer be learnt from random weights in a minute."""
    words = Counter(_asked(row)[1] for row in data["train"])
    assert len(words) == 15 and min(words.values()) > 100


def test_titles_hold_several_premises_and_are_not_shared_between_splits(data: DatasetDict):
    premises = defaultdict(set)
    for row in data["train"]:
        premises[row["title"]].add(row["text"])
    assert len(premises) >= 30
    assert min(len(of_title) for of_title in premises.values()) >= 2
    assert not set(data["train"]["title"]) & set(data["test"]["title"])


def test_same_arguments_same_pairs_and_another_seed_others(data: DatasetDict):
    again = toy_pairs(train=4000, test=1000, seed=3)
    other = toy_pairs(train=4000, test=1000, seed=4)
    for split, rows in data.items():
        assert rows.to_list() == again[split].to_list()
        assert rows["text"][:] != other[split]["text"][:]


def test_pairs_are_the_same_in_every_release():
    """A stored predecessor is found again by the generator's settings, so these must keep their meaning."""
    assert toy_pairs(train=1, test=2, seed=0)["test"].to_list() == GOLDEN


def test_test_pairs_do_not_depend_on_the_size_of_the_training_set(data: DatasetDict):
    assert toy_pairs(train=5, test=1000, seed=3)["test"].to_list() == data["test"].to_list()


def test_an_odd_number_of_pairs_is_met():
    assert {split: len(rows) for split, rows in toy_pairs(train=7, test=1, seed=0).items()} == {"train": 7, "test": 1}


def test_the_words_fit_in_the_vocabulary_and_the_tokens_in_the_length_of_the_tiny_model(data: DatasetDict):
    texts = [text for column in ("text", "text_pair") for text in data["train"][column]]
    tokenizer = train_wordpiece(texts, vocab_size=600)
    pairs = tokenizer(data["test"]["text"][:], data["test"]["text_pair"][:])
    assert max(map(len, pairs["input_ids"])) <= 64
    assert not any(tokenizer.unk_token_id in ids for ids in pairs["input_ids"])
    assert all(word in tokenizer.get_vocab() for word in ("crimson", "purchased", "boats", "boris"))


def test_five_thousand_pairs_take_less_than_a_second():
    started = time.process_time()
    toy_pairs(train=4_500, test=500, seed=0)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(("settings", "message"), [({"train": 0}, "train=0: "), ({"test": -1}, "test=-1: ")])
def test_numbers_out_of_range_are_named(settings: dict[str, int], message: str):
    with pytest.raises(SecateurError, match=f"^{message}"):
        toy_pairs(**{"train": 5, "test": 5, "seed": 0, **settings})


def _asked(row: dict[str, str]) -> tuple[str, str]:
    """The thing and the detail's word."""
    words = row["text_pair"].replace(".", "").split()
    return words[1], words[3]


def _is_single(row: dict[str, str]) -> bool:
    """Whether the premise tells one fact, and a closing sentence stands in the other's place."""
    return row["text"].endswith("That was all that day.")


def _meanings(rows: Dataset) -> dict[str, set[str]]:
    """A hypothesis's word -> the one word that is in all single sentences which entail it."""
    meanings: dict[str, set[str]] = {}
    for row in rows:
        if row["label"] == ENTAILMENT and _is_single(row):
            said = set(row["text"].split(".")[0].split())
            meanings.setdefault(_asked(row)[1], said).intersection_update(said)
    assert all(len(words) == 1 for words in meanings.values())
    return meanings


def _votes(rows: Dataset, column: str) -> dict[str, float]:
    """Each word's surplus of entailment, in [-1, 1]."""
    seen: Counter[str] = Counter()
    entailed: Counter[str] = Counter()
    for row in rows:
        words = row[column].split()
        seen.update(words)
        entailed.update(words * (row["label"] == ENTAILMENT))
    return {word: 2 * entailed[word] / count - 1 for word, count in seen.items()}
