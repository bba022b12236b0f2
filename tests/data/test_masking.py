"""Masking: as many tokens as requested, whole words on request, replaced in the configured shares."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from secateur.data.masking import IGNORED, Masker, Masking, draw_words
from secateur.data.vocabulary import train_unigram
from secateur.data.words import word_starts
from secateur.errors import SecateurError

SETTINGS = {"probability": 0.15, "unit": "token", "mask_share": 0.8, "random_share": 0.1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability": 0.0}, r"mask_probability=0\.0: must lie in \(0, 1\)"),
        ({"probability": 1}, r"mask_probability=1: must lie in \(0, 1\)"),
        ({"unit": "span"}, r"masking=span: must be token or whole_word"),
        ({"mask_share": -0.1}, r"mask_share=-0\.1: must lie in \[0, 1\]"),
        ({"random_share": 0.3}, r"random_share=0\.3: must not exceed 1 - mask_share = 0\.2"),
    ],
)
def test_settings_out_of_range_are_told_in_one_line(changes, message):
    with pytest.raises(SecateurError, match=rf"^{message}$"):
        Masking(**{**SETTINGS, **changes})


def test_as_many_tokens_as_asked_for_and_one_at_least():
    rng = np.random.default_rng(0)
    for size, expected in ((100, 15), (20, 3), (2, 1), (1, 1)):
        assert draw_words(np.ones(size, dtype=bool), probability=0.15, rng=rng).sum() == expected


def test_words_are_hidden_whole_and_the_amount_is_kept():
    rng = np.random.default_rng(0)
    starts = rng.random(400) < 0.6
    starts[0] = False  # the rest of a word that was cut
    words = np.split(np.arange(400), np.flatnonzero(starts))
    counts = []
    for _ in range(20):
        hidden = draw_words(starts, probability=0.15, rng=rng)
        assert all(len(set(hidden[word])) == 1 for word in words if len(word))
        counts.append(hidden.sum())
    assert 55 <= min(counts) <= max(counts) == 60


@pytest.mark.parametrize("words", [[126], [20, 5], [20, 1, 1, 1, 1, 1]])
def test_words_longer_than_the_amount_never_go_whole(words):
    """Text without spaces is one word; all of it would be hidden."""
    starts = np.concatenate([np.arange(size) == 0 for size in words])
    rng = np.random.default_rng(0)
    for _ in range(50):
        hidden = draw_words(starts, probability=0.15, rng=rng)
        assert 1 <= hidden.sum() <= max(1, round(0.15 * len(starts)))
        assert np.flatnonzero(np.diff(np.flatnonzero(hidden)) > 1).size == 0 or words[1:]


def test_every_word_is_as_likely_as_any_other():
    """But for the last one drawn, which does not fit if it is long."""
    starts = np.array([True, True, False, True, True, False, True, True, True, True] * 10)
    rng = np.random.default_rng(0)
    often = np.mean([draw_words(starts, probability=0.3, rng=rng) for _ in range(4000)], axis=0)
    assert 0.26 < often.min() <= often.max() < 0.33


def test_replacements_come_in_the_shares_that_are_set(bert):
    masker = Masker(Masking(**SETTINGS), bert)
    ids = np.full(100_000, 20)
    seen, labels = masker.hide(ids, np.random.default_rng(0))
    hidden = labels != IGNORED
    assert hidden.sum() == 15_000
    assert (labels[hidden] == 20).all()
    assert (seen[~hidden] == 20).all()
    assert np.mean(seen[hidden] == bert.mask_token_id) == pytest.approx(0.8, abs=0.01)
    drawn = seen[hidden][(seen[hidden] != bert.mask_token_id) & (seen[hidden] != 20)]
    assert len(drawn) / 15_000 == pytest.approx(0.1, abs=0.01)
    assert not set(drawn) & set(bert.all_special_ids)


def test_word_pieces_that_go_on_are_marked(bert):
    ids = bert("the brothers jumped", add_special_tokens=False)
    expected = [a != b for a, b in zip(ids.word_ids(), [None, *ids.word_ids()], strict=False)]
    assert word_starts(bert)[ids["input_ids"]].tolist() == expected
    assert not all(expected)


def test_byte_level_pieces_that_begin_are_marked(roberta):
    """The first word of a text has no space before it: segments are given one."""
    ids = roberta(" the dog, the", add_special_tokens=False)["input_ids"]
    pieces = roberta.convert_ids_to_tokens(ids)
    assert pieces == ["Ġthe", "Ġdog", ",", "Ġthe"]
    assert word_starts(roberta)[ids].tolist() == [True, True, False, True]


def test_sentencepiece_s_pieces_that_begin_are_marked_and_words_hidden_whole():
    words = ["brother", "brotherhood", "hood", "jumped", "jump"]
    tokenizer = train_unigram([" ".join(words)] * 3, vocab_size=40)
    ids = np.array(tokenizer("hoodbrother jumped", add_special_tokens=False)["input_ids"])
    pieces = tokenizer.convert_ids_to_tokens(ids)
    starts = word_starts(tokenizer)[ids]
    assert starts.tolist() == [piece.startswith("▁") for piece in pieces]
    assert sum(starts) == 2 < len(ids)
    masker = Masker(Masking(**{**SETTINGS, "probability": 0.6, "unit": "whole_word"}), tokenizer)
    hidden = [masker.hide(ids, np.random.default_rng(seed))[1] != IGNORED for seed in range(20)]
    word = np.cumsum(starts)
    assert all(len(set(word[each])) == 1 and each.sum() == (word == word[each][0]).sum() for each in hidden)
    assert len({tuple(each) for each in hidden}) == 2


def _plain(**special: str) -> PreTrainedTokenizerFast:
    model = models.BPE({"a": 0, "b": 1, "[MASK]": 2}, [])
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), **special)


def test_a_tokenizer_that_does_not_tell_words_is_refused():
    words = Masking(**{**SETTINGS, "unit": "whole_word"})
    with pytest.raises(
        SecateurError, match=r"^dataset\.task\.masking=whole_word: .*; set dataset\.task\.masking=token$"
    ):
        Masker(words, _plain(mask_token="[MASK]"))
    Masker(Masking(**SETTINGS), _plain(mask_token="[MASK]"))


def test_a_tokenizer_without_a_mask_is_refused():
    with pytest.raises(SecateurError, match=r"^model\.checkpoint: its tokenizer, a \w+, has no mask token; [^\n]*$"):
        Masker(Masking(**SETTINGS), _plain())
