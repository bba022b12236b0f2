"""Words are the frequent ones, maps are determined by the seed, and neighbours are counted among all words."""

from __future__ import annotations

import pytest
import torch
from transformers import BertTokenizer, RobertaTokenizerFast

from secateur.analysis.embeddings import (
    draw_embeddings,
    embeddings_of,
    frequent_words,
    maps_of,
    neighbours_kept,
)
from secateur.errors import SecateurError
from tests.architectures import random_model

WORDS = ["the", "of", "and", "in", "to", "was", "he", "is", "as", "for", "on", "with"]


@pytest.fixture
def tokenizer() -> BertTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
    tokens = [*special, "a", "!", "##ing", "1990", *WORDS, "rare"]
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)})


def test_words_are_the_first_of_the_vocabulary_that_are_whole(tokenizer: BertTokenizer) -> None:
    words = frequent_words(tokenizer, 12)
    assert words.texts == WORDS
    assert words.ids == list(range(10, 22))
    model = random_model("electra")
    assert torch.equal(embeddings_of(model, words), model.electra.embeddings.word_embeddings.weight[10:22])


def test_of_pieces_that_mark_words_by_the_space_before_those_count_that_begin_one() -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", "a", "ing", "the", *(f"Ġ{word}" for word in WORDS)]
    tokenizer = RobertaTokenizerFast(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])
    words = frequent_words(tokenizer, 12)
    assert words.texts == WORDS
    assert words.ids == list(range(9, 21))


@pytest.mark.parametrize("count", [5, 0, -1])
def test_too_few_words_for_neighbours_are_refused(tokenizer: BertTokenizer, count: int) -> None:
    with pytest.raises(SecateurError, match=rf"^embeddings={count}: \d+ words are too few for a map; give 11 or more$"):
        frequent_words(tokenizer, count)


def test_neighbours_are_kept_by_what_moves_all_words_alike_and_lost_by_a_shuffle() -> None:
    torch.manual_seed(0)
    before = torch.randn(200, 8)
    assert neighbours_kept(before, 3 * before + 1) == 1
    assert neighbours_kept(before, before[torch.randperm(200)]) < 0.15


def test_a_word_is_not_its_own_neighbour() -> None:
    """Else a tenth would always be kept. Two clusters of 11 words: a word's 10 nearest are the others of its own."""
    torch.manual_seed(0)
    before, after = (torch.rand(22, 2) for _ in range(2))
    before[:11] += 100
    after[::2] += 100
    shared = sum(len({*range(11)} & {*range(0, 22, 2)} - {word}) for word in range(0, 11, 2))
    shared += sum(len({*range(11)} & {*range(1, 22, 2)} - {word}) for word in range(1, 11, 2))
    shared += sum(len({*range(11, 22)} & {*range(0, 22, 2)} - {word}) for word in range(12, 22, 2))
    shared += sum(len({*range(11, 22)} & {*range(1, 22, 2)} - {word}) for word in range(11, 22, 2))
    assert neighbours_kept(before, after) == pytest.approx(shared / 220)


def test_maps_follow_from_the_seed() -> None:
    pytest.importorskip("sklearn", reason="the extra analysis is not installed")
    torch.manual_seed(0)
    before = torch.randn(40, 8)
    first, again = (maps_of(before, before + 0.01, seed=1) for _ in range(2))
    assert [each.shape for each in first] == [(40, 2), (40, 2)]
    assert all((one == other).all() for one, other in zip(first, again, strict=True))


def test_a_word_has_the_same_colour_and_name_in_both_maps() -> None:
    before, after = torch.rand(100, 2).numpy(), torch.rand(100, 2).numpy()
    words = [f"$w{number}" for number in range(100)]
    figure = draw_embeddings(before, after, words=words, kept=0.754, title="t")
    left, right = figure.axes
    assert (left.collections[0].get_array() == right.collections[0].get_array()).all()
    assert (right.collections[0].get_offsets() == after).all()
    assert [text.get_text() for text in left.texts] == [text.get_text() for text in right.texts] == words[::3]
    assert [text.xy for text in right.texts] == [tuple(point) for point in after[::3]]
    assert figure.get_suptitle() == "100 words; 75 % of their 10 nearest are the same - t"
    figure.canvas.draw()  # type: ignore[attr-defined]
