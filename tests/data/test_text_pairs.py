"""Texts and pairs as model inputs equal the output of the tokenizers library, truncated or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.packing import Template
from secateur.data.text_pairs import TextPairs, cut_longest_first, tokenize_pairs

# Every pairing of short and long texts; one first text is without its second.
TEXTS = ("Who?", "the dog sleeps", "In London, the dog wrote notes on the lazy fox; who wrote them?", "dog " * 30)
PAIRS = [*itertools.product(TEXTS, TEXTS), ("the dog", "")]
# Odd and even rooms, such that nothing, one text, or both are cut.
MAX_LENGTHS = (9, 10, 25, 26, 70, 71, 200)


@pytest.fixture(params=["bert", "roberta"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return request.getfixturevalue(request.param)


def _examples(
    tokenizer: PreTrainedTokenizerBase,
    firsts: list[str],
    seconds: list[str],
    *,
    max_seq_length: int,
    max_question_length: int = 0,
    document: str = "text_pair",
) -> TextPairs:
    labels = [index % 2 for index in range(len(firsts))]
    text = dict.fromkeys(("text", "text_pair"), Value("string"))
    rows = Dataset.from_dict(
        {"text": firsts, "text_pair": seconds, "label": labels},
        features=Features({**text, "label": ClassLabel(names=["a", "b"])}),
    )
    lengths = Lengths(max_seq_length=max_seq_length, max_question_length=max_question_length)
    return TextPairs(tokenize_pairs(rows, tokenizer), Template.of(tokenizer), lengths, document=document)


@pytest.mark.parametrize("max_seq_length", MAX_LENGTHS)
def test_pairs_are_the_tokenizers_own_cut_longest_first(tokenizer, max_seq_length):
    firsts, seconds = (list(texts) for texts in zip(*PAIRS, strict=True))
    examples = _examples(tokenizer, firsts, seconds, max_seq_length=max_seq_length)
    options = {"truncation": "longest_first", "max_length": max_seq_length, "padding": True, "return_tensors": "pt"}
    expected = tokenizer(firsts, seconds, **options)
    batch = examples.collate(list(range(len(examples))))
    for name, tensor in expected.items():
        assert torch.equal(batch[name], tensor), name
    assert examples.lengths.tolist() == expected["attention_mask"].sum(1).tolist()


@pytest.mark.parametrize("max_seq_length", MAX_LENGTHS)
def test_single_texts_are_the_tokenizers_own_cut_at_the_end(tokenizer, max_seq_length):
    """There is no second text: nothing stands between two, and no room is kept for it."""
    examples = _examples(tokenizer, list(TEXTS), [""] * len(TEXTS), max_seq_length=max_seq_length)
    options = {"truncation": True, "max_length": max_seq_length, "padding": True, "return_tensors": "pt"}
    expected = tokenizer(list(TEXTS), **options)
    batch = examples.collate([0, 1, 2, 3])
    assert set(batch) == {*expected, "cls_position", "labels", "items"}
    for name, tensor in expected.items():
        assert torch.equal(batch[name], tensor), name
    assert examples.lengths.tolist() == expected["attention_mask"].sum(1).tolist()


def test_what_is_kept_fits_and_is_as_much_as_can_be():
    firsts, seconds = (np.array(sizes) for sizes in zip(*itertools.product(range(12), range(12)), strict=True))
    for room in range(1, 26):
        kept_firsts, kept_seconds = cut_longest_first(firsts, seconds, room=room)
        assert (kept_firsts <= firsts).all()
        assert (kept_seconds <= seconds).all()
        assert (kept_firsts + kept_seconds == np.minimum(firsts + seconds, room)).all()


def test_a_batch_has_its_rows_labels_and_numbers(bert):
    examples = _examples(bert, list(TEXTS), [""] * 4, max_seq_length=20)
    batch = examples.collate([examples[item] for item in (3, 0)])
    assert batch["labels"].tolist() == [1, 0]
    assert batch["items"].tolist() == [3, 0]
    assert batch["input_ids"].shape == (2, examples.lengths[[3, 0]].max())
    assert len(examples) == 4


@pytest.mark.parametrize(("document", "cut"), [("text_pair", 0), ("text", 1)])
def test_a_limit_on_the_question_cuts_it_first_and_the_document_only_for_want_of_room(bert, document, cut):
    """So that packed and segmented models read the same of it."""
    text = "Ada Lovelace wrote the notes in London"
    options = {"max_question_length": 3, "document": document}
    for max_seq_length, kept in ((64, 7), (9, 3)):
        pairs = _examples(bert, [text, text], [text, text], max_seq_length=max_seq_length, **options)
        sizes = (pairs.first_sizes, pairs.second_sizes)
        assert sizes[cut].tolist() == [3, 3]
        assert sizes[1 - cut].tolist() == [min(kept, len(bert.tokenize(text)))] * 2
        assert pairs.questions_cut == 2


def test_single_texts_are_no_questions(bert):
    pairs = _examples(bert, list(TEXTS), [""] * 4, max_seq_length=64, max_question_length=2)
    assert pairs.questions_cut == 0
    assert max(pairs.first_sizes) > 2
