"""Single texts and pairs of texts as model inputs: tokenised separately, then truncated and laid out per batch.

Shapes: E examples, B in a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths, tokenized
from secateur.data.packing import Template
from secateur.data.slots import SlotTemplate, check_documents
from secateur.data.windows import ragged
from secateur.errors import SecateurError

TEXTS = ("text", "text_pair")


def tokenize_pairs(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Add the columns text_ids and text_pair_ids (empty for single texts) to rows of :mod:`secateur.data.labelled`."""
    return tokenized(rows, _tokenize, tokenizer=tokenizer)


class TextPairs(Examples):
    """Texts with their labels; an item is a row index.

    Args:
        tokens: rows of :func:`tokenize_pairs`.
        template: how inputs are laid out.
        lengths: how long inputs may be.
        document: which text of a pair is the document, ``text`` or ``text_pair``; the other is the question. If each
            has its own slot, the question comes first.

    Raises:
        SecateurError: if ``template`` has slots, and the rows are single texts or a document is empty.
    """

    def __init__(self, tokens: Dataset, template: Template, lengths: Lengths, *, document: str = "text_pair") -> None:
        self.rows = tokens
        self.template = template
        columns = {name: ragged(tokens, f"{name}_ids") for name in TEXTS}
        self.labels = torch.from_numpy(tokens.with_format("numpy")["label"][:])
        self.is_pair = bool(columns["text_pair"].sizes.any())
        sizes = {name: column.sizes for name, column in columns.items()}
        (question,) = set(TEXTS) - {document}
        if self.is_pair and lengths.max_question_length:
            whole, sizes[question] = sizes[question], np.minimum(sizes[question], lengths.max_question_length)
            self.questions_cut = int((sizes[question] < whole).sum())
        if isinstance(template, SlotTemplate):
            if not self.is_pair:
                raise SecateurError("dataset: its rows are single texts; only pairs can be read separately")
            check_documents(template, sizes[document], tokens["id"])
            first, second = question, document
            kept = sizes[question], np.minimum(sizes[document], template.document_rooms(sizes[question], lengths))
        else:
            first, second = TEXTS
            room = lengths.max_seq_length - template.added(pair=self.is_pair)
            kept = cut_longest_first(sizes[first], sizes[second], room=room)
        self.firsts, self.seconds = columns[first], columns[second]
        self.first_sizes, self.second_sizes = kept
        self.lengths = template.added(pair=self.is_pair) + self.first_sizes + self.second_sizes

    def __len__(self) -> int:
        return len(self.lengths)

    def collate(self, items: list[int]) -> Batch:
        """Inputs, labels (B,) and the row indices, as items (B,)."""
        firsts = [self.firsts[item][: self.first_sizes[item]] for item in items]
        seconds = [self.seconds[item][: self.second_sizes[item]] for item in items] if self.is_pair else None
        return {
            **self.template.lay_out(firsts, seconds),
            "labels": self.labels[items],
            "items": torch.tensor(items),
        }


def cut_longest_first(firsts: np.ndarray, seconds: np.ndarray, *, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens to keep of each text so that a pair fits into ``room``: the longer one is truncated until both are equal.

    As in the tokenizers library, the odd token of an odd ``room`` goes to the longer text, or to the second if the
    first is not longer.

    Args:
        firsts, seconds: tokens of each text, (E,).
        room: tokens for both together, not counting special tokens.

    Returns:
        Tokens to keep of the first and of the second texts, (E,) each.
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
