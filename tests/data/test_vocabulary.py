"""Learnt vocabularies: determined by their texts, and working tokenizers of their family."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from secateur.data.vocabulary import PAD_ID, train_unigram, train_wordpiece
from secateur.errors import SecateurError

TEXTS = [
    "The café sold three red boats, and then four red boats.",
    "Who sold the boats? Nobody sold the cafés.",
    "Boating is what the boaters at the boathouse do: they boat.",
]


def test_the_most_frequent_pair_is_merged_first_and_ties_go_by_the_alphabet():
    """Word counts by hand: aab 3, b 1. Pairs: (a, ##a) and (##a, ##b), 3 each; "##" sorts before letters."""
    tokenizer = train_wordpiece(["aab aab aab b"], vocab_size=100)
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *("##a", "##b", "a", "b"),
        *("##ab", "aab"),
    ]


def test_a_repeated_character_is_merged_without_overlap():
    tokenizer = train_wordpiece(["aaaaa aaaaa"], vocab_size=8)
    assert tokenizer.tokenize("aaaaa") == ["a", "##aa", "##aa"]


def test_vocabulary_size_is_an_upper_bound_that_is_reached_when_there_is_enough_to_merge():
    assert len(train_wordpiece(TEXTS, vocab_size=40)) == 40
    assert len(train_wordpiece(TEXTS, vocab_size=10_000)) < 200


def test_too_small_a_vocabulary_is_refused_with_the_smallest_that_would_do():
    with pytest.raises(SecateurError, match=r"vocab_size=7: .* at least 9"):
        train_wordpiece(["aab aab b"], vocab_size=7)
    assert len(train_wordpiece(["aab aab b"], vocab_size=9)) == 9


def test_order_of_texts_does_not_matter():
    assert train_wordpiece(TEXTS, vocab_size=60).vocab == train_wordpiece(reversed(TEXTS), vocab_size=60).vocab


def test_another_process_learns_the_same_ids():
    """The trainer of ``tokenizers`` fails this: the store of predecessors could then never be shared."""
    code = (
        "import json, sys; from secateur.data.vocabulary import train_wordpiece;"
        "print(json.dumps(train_wordpiece(json.loads(sys.argv[1]), vocab_size=60).get_vocab()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code, json.dumps(TEXTS)]
    there = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert json.loads(there) == train_wordpiece(TEXTS, vocab_size=60).get_vocab()


def test_pairs_are_laid_out_as_bert_expects():
    tokenizer = train_wordpiece(TEXTS, vocab_size=200)
    encoded = tokenizer("Who sold boats?", "THREE boats.", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == (
        ["[CLS]", *tokenizer.tokenize("who sold boats?"), "[SEP]", *tokenizer.tokenize("three boats."), "[SEP]"]
    )
    second = encoded["token_type_ids"].index(1)
    assert encoded["input_ids"][second - 1] == tokenizer.sep_token_id
    assert set(encoded["token_type_ids"][second:]) == {1}
    assert encoded["offset_mapping"][second][0] == 0


def test_accents_and_case_are_folded_and_unseen_characters_unknown():
    tokenizer = train_wordpiece(TEXTS, vocab_size=200)
    assert tokenizer.tokenize("CAFÉ") == tokenizer.tokenize("cafe")
    assert tokenizer.tokenize("日") == ["[UNK]"]


def test_saved_tokenizer_gives_the_same_ids_and_offsets(tmp_path: Path):
    tokenizer = train_wordpiece(TEXTS, vocab_size=60)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    pair = ("Who sold the cafés?", "Boaters sold the red café, dearly.")
    assert reloaded.vocab == tokenizer.vocab
    assert reloaded.model_max_length == 512
    assert dict(reloaded(*pair, return_offsets_mapping=True)) == dict(tokenizer(*pair, return_offsets_mapping=True))


def test_inputs_without_token_types_stay_without_when_saved(tmp_path: Path):
    """A tokenizer's attribute would be lost; the reloaded one would offer what the model does not take."""
    names = ["input_ids", "attention_mask"]
    tokenizer = train_wordpiece(TEXTS, vocab_size=60, model_input_names=names)
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert list(each("Who?", "Boaters.")) == names


def test_long_passages_overflow_into_windows():
    """What tokenising for question answering relies on: stride, offsets and sequence ids."""
    tokenizer = train_wordpiece(TEXTS, vocab_size=200)
    encoded = tokenizer(
        "Who?", " ".join(TEXTS), truncation="only_second", max_length=16, stride=4, return_overflowing_tokens=True
    )
    assert len(encoded["input_ids"]) > 1
    assert all(len(ids) <= 16 for ids in encoded["input_ids"])
    assert 1 in encoded.sequence_ids(1)


def test_unigram_pieces_have_the_logarithm_of_their_share():
    """By hand: the words are ▁aab 3, ▁b 1. Merged are (a, a), (aa, b), (▁, aab), 3 each, and then nothing twice.

    The texts fall into ▁aab 3, ▁ 1, b 1.
    """
    tokenizer = train_unigram(["aab aab aab b"], vocab_size=100)
    pieces = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    special = ["<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>", "<eop>", "<eod>"]
    assert [piece for piece, _ in pieces] == [*special, "a", "b", "▁", "aa", "aab", "▁aab"]
    scores = {piece: math.exp(score) for piece, score in pieces[len(special) :]}
    assert scores == pytest.approx({"▁aab": 3 / 5, **dict.fromkeys(("a", "b", "▁", "aa", "aab"), 1 / 5)})


def test_unigram_tells_capitals_and_marks_words_and_has_xlnets_layout():
    tokenizer = train_unigram(TEXTS, vocab_size=50)
    assert tokenizer.vocab == train_unigram(reversed(TEXTS), vocab_size=50).vocab
    assert len(tokenizer) == 50
    assert tokenizer.tokenize("boats")[0].startswith("▁")
    assert tokenizer.tokenize("The") != tokenizer.tokenize("the")
    ids = tokenizer("the boats", "boats")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids)[-2:] == ["<sep>", "<cls>"]
    assert tokenizer("the", "the")["token_type_ids"][-1] == 2
    assert tokenizer.pad_token_id == PAD_ID
    with pytest.raises(SecateurError, match=r"vocab_size=7: .* at least"):
        train_unigram(TEXTS, vocab_size=7)
