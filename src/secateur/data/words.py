"""Where words begin: tokenizers mark either the pieces that begin a word or those that continue one."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerBase

from secateur.errors import SecateurError

# Byte-level BPE's (GPT-2, RoBERTa) and SentencePiece's (XLM-R, CamemBERT) sign for a space.
_MARKS = ("Ġ", "▁")


def leading_mark(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The mark at the start of pieces that begin a word; None if the tokenizer has no such mark."""
    pieces = tokenizer.tokenize("a a")
    return next((mark for mark in _MARKS if any(piece.startswith(mark) for piece in pieces)), None)


def word_starts(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Whether each of the V vocabulary ids begins a word, bool (V,).

    Raises:
        SecateurError: if the tokenizer does not mark word boundaries.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    mark = leading_mark(tokenizer)
    if mark is not None:
        return np.array([piece.startswith(mark) for piece in pieces])
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    if not prefix:
        raise SecateurError(
            f"dataset.task.masking=whole_word: a {type(tokenizer).__name__} does not mark where words begin; "
            "set dataset.task.masking=token"
        )
    return np.array([not piece.startswith(prefix) for piece in pieces])
