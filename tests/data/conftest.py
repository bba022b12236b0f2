"""Tokenizers of the three families, built for the tests."""

from __future__ import annotations

import pytest
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerBase, RobertaTokenizer

from secateur.data.vocabulary import train_unigram, train_wordpiece

_TEXTS = (
    "The quick brown fox jumps over the lazy dog, and the dog sleeps.",
    "In 1843 Ada Lovelace wrote notes (in London) on the Analytical Engine; who wrote them?",
    "When was the café in Zürich opened? It was opened in the year 1912, by the brothers Smith-Jones.",
)


@pytest.fixture(scope="session")
def bert() -> PreTrainedTokenizerBase:
    """WordPiece, one separator between the texts, two token types."""
    return train_wordpiece(_TEXTS * 2, vocab_size=150)


@pytest.fixture(scope="session")
def roberta() -> PreTrainedTokenizerBase:
    """Byte-level pieces, two separators between the texts, no token types."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("o", "g"), ("Ġ", "d"), ("Ġd", "og")]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, *map("".join, merges)])}
    return RobertaTokenizer(vocab=vocabulary, merges=merges)


@pytest.fixture(scope="session")
def xlnet() -> PreTrainedTokenizerBase:
    """Unigram pieces, [CLS] last with a token type of its own, padding first."""
    return train_unigram(_TEXTS * 2, vocab_size=150)
