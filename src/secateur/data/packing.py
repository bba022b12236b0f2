"""Laying question and document out as one ordinary input: [CLS] question [SEP] document [SEP]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Template:
    """The special tokens that an architecture puts before, between and after two texts.

    Attributes:
        prefix, middle, suffix: token ids.
        second_type: token type of the document and what follows it (0 where an architecture has one type).
        pad: id of the padding token.
        has_types: whether the model takes ``token_type_ids``.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    second_type: int
    pad: int
    has_types: bool

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Template:
        """Read the template off an encoded pair of texts, whatever the tokenizer's class."""
        encoded = tokenizer("a", "a")
        ids, owners = encoded["input_ids"], encoded.sequence_ids(0)  # None at special tokens
        types = encoded.get("token_type_ids")
        first, second = ([place for place, owner in enumerate(owners) if owner == text] for text in (0, 1))
        return cls(
            prefix=tuple(ids[: first[0]]),
            middle=tuple(ids[first[-1] + 1 : second[0]]),
            suffix=tuple(ids[second[-1] + 1 :]),
            second_type=0 if types is None else int(types[second[0]]),
            pad=int(tokenizer.pad_token_id),
            has_types=types is not None,
        )

    @property
    def added(self) -> int:
        """How many special tokens a pair gets."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def document_start(self, question_length: int) -> int:
        """Position of the document's first token."""
        return len(self.prefix) + question_length + len(self.middle)


def pack(questions: Sequence[np.ndarray], documents: Sequence[np.ndarray], template: Template) -> dict[str, Tensor]:
    """Pad B pairs of token ids to one batch; B pairs, L tokens in the longest.

    Returns:
        input_ids, attention_mask and (where the model takes them) token_type_ids, int64 (B, L); and
        document_mask, bool (B, L), true at the document's own tokens.
    """
    lengths = [template.added + len(q) + len(d) for q, d in zip(questions, documents, strict=True)]
    shape = (len(lengths), max(lengths))
    ids_BL = np.full(shape, template.pad, dtype=np.int64)
    types_BL = np.zeros(shape, dtype=np.int64)
    document_BL = np.zeros(shape, dtype=bool)
    for row, (question, document) in enumerate(zip(questions, documents, strict=True)):
        start = template.document_start(len(question))
        end = start + len(document)
        ids_BL[row, : lengths[row]] = np.concatenate(
            [template.prefix, question, template.middle, document, template.suffix]
        )
        types_BL[row, start : lengths[row]] = template.second_type
        document_BL[row, start:end] = True
    attention_BL = np.arange(shape[1])[None] < np.asarray(lengths)[:, None]
    batch = {
        "input_ids": torch.from_numpy(ids_BL),
        "attention_mask": torch.from_numpy(attention_BL.astype(np.int64)),
        "document_mask": torch.from_numpy(document_BL),
    }
    if template.has_types:
        batch["token_type_ids"] = torch.from_numpy(types_BL)
    return batch
