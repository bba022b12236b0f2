"""Single texts and pairs of texts as model inputs: tokenised apart, cut and packed batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths, tokenized
from secateur.data.packing import Template, pack
from secateur.data.windows import ragged


def tokenize_pairs(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Add the columns text_ids and text_pair_ids (empty for single texts) to rows of :mod:`secateur.data.labelled`."""
    return tokenized(rows, _tokenize, tokenizer=tokenizer)


class TextPairs(Examples):
    """Packed texts with their labels; an item is a row's number."""

    def __init__(self, tokens: Dataset, template: Template, lengths: Lengths) -> None:
        self.rows = tokens
        self.template = template
        self.firsts = ragged(tokens, "text_ids")
        self.seconds = ragged(tokens, "text_pair_ids")
        self.labels = torch.from_numpy(tokens.with_format("numpy")["label"][:])
        self.is_pair = bool(self.seconds.sizes.any())
        self.first_sizes, self.second_sizes = cut_longest_first(
            self.firsts.sizes, self.seconds.sizes, room=lengths.max_seq_length - template.added(pair=self.is_pair)
        )
        self.lengths = template.added(pair=self.is_pair) + self.first_sizes + self.second_sizes

    def __len__(self) -> int:
        return len(self.lengths)

    def collate(self, items: list[int]) -> Batch:
        """Packed inputs, labels (B,) and the rows' numbers, as items (B,)."""
        firsts = [self.firsts[item][: self.first_sizes[item]] for item in items]
        seconds = [self.seconds[item][: self.second_sizes[item]] for item in items] if self.is_pair else None
        return {
            **pack(firsts, seconds, self.template),
            "labels": self.labels[items],
            "items": torch.tensor(items),
        }


def cut_longest_first(firsts: np.ndarray, seconds: np.ndarray, *, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens to keep of each text so that a pair fits into ``room``: the longer one is cut until both are equal.

    As the tokenizers library does it: of an odd ``room`` the longer text gets one token more, or else the second.

    Args:
        firsts, seconds: tokens of each text, (E,).
        room: tokens for both together, special tokens not counted.
    """
    share = room // 2 + (room % 2) * (firsts > seconds)
    kept_firsts = np.minimum(firsts, np.maximum(room - seconds, share))
    return kept_firsts, np.minimum(seconds, room - kept_firsts)


def _tokenize(rows: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[Any]]:
    return {
        f"{name}_ids": [
            np.asarray(ids, dtype=np.int32)
            for ids in tokenizer(rows[name], add_special_tokens=False, verbose=False)["input_ids"]
        ]
        for name in ("text", "text_pair")
    }
