"""Lay texts out as one ordinary input: [CLS] question [SEP] document [SEP], or [CLS] text [SEP].

XLNet puts [CLS] last; its inputs are padded at the start, so that [CLS] is the last token in every row of a batch.

Shapes: B inputs in a batch, L tokens of the longest, E examples of a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Lengths


@dataclass(frozen=True, kw_only=True)
class Template:
    """The special tokens that an architecture puts before, between and after two texts, or around one.

    Attributes:
        prefix, middle, suffix: token ids.
        second_type: token type of the document and what follows it (0 if the architecture has one type).
        cls_type: token type of a [CLS] that ends the suffix; None if [CLS] is in the prefix.
        pad: id of the padding token.
        has_types: whether the model takes ``token_type_ids``.
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    second_type: int
    cls_type: int | None = None
    pad: int
    has_types: bool

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
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
            cls_type=int(types[-1]) if types and ids[-1] == tokenizer.cls_token_id else None,
            pad=int(tokenizer.pad_token_id),
            has_types=types is not None,
        )

    def added(self, *, pair: bool = True) -> int:
        """Number of special tokens added to a pair, or to a single text."""
        return len(self.prefix) + (len(self.middle) if pair else 0) + len(self.suffix)

    def document_rooms(self, question_sizes: np.ndarray, lengths: Lengths) -> np.ndarray:
        """How many document tokens fit next to questions of these sizes (E,), as (E,)."""
        return lengths.max_seq_length - self.added() - question_sizes

    def lay_out(self, firsts: Sequence[np.ndarray], seconds: Sequence[np.ndarray] | None) -> dict[str, Any]:
        """One batch; see :func:`pack`."""
        return pack(firsts, seconds, self)


def pack(firsts: Sequence[np.ndarray], seconds: Sequence[np.ndarray] | None, template: Template) -> dict[str, Any]:
    """Pad B single texts, or B pairs (question and document), to one batch; L tokens in the longest.

    Returns:
        input_ids, attention_mask and (if the model takes them) token_type_ids, int64 (B, L); for pairs also
        document_mask, bool (B, L), true at the second text's own tokens; cls_position, the position of [CLS] in all
        rows.
    """
    rows: list[list[Any]] = [[template.prefix, first] for first in firsts]
    if seconds is not None:
        rows = [[*row, template.middle, second] for row, second in zip(rows, seconds, strict=True)]
    rows = [[*row, template.suffix] for row in rows]
    lengths = np.array([sum(map(len, row)) for row in rows])
    positions_L, length = np.arange(lengths.max())[None], int(lengths.max())
    begins = np.zeros_like(lengths) if template.cls_type is None else length - lengths
    ids_BL = np.full((len(rows), length), template.pad, dtype=np.int64)
    attention_BL = (positions_L >= begins[:, None]) & (positions_L < (begins + lengths)[:, None])
    ids_BL[attention_BL] = np.concatenate([part for row in rows for part in row])
    types_BL = np.zeros_like(ids_BL)
    batch = {"input_ids": ids_BL, "attention_mask": attention_BL.astype(np.int64)}
    if seconds is not None:
        starts = begins + [len(template.prefix) + len(first) + len(template.middle) for first in firsts]
        ends = starts + [len(second) for second in seconds]
        after_BL = positions_L >= starts[:, None]
        types_BL[after_BL & attention_BL] = template.second_type
        batch["document_mask"] = after_BL & (positions_L < ends[:, None])
    if template.cls_type is not None:
        types_BL[:, -1] = template.cls_type
    if template.has_types:
        batch["token_type_ids"] = types_BL
    cls_position = 0 if template.cls_type is None else length - 1
    return {**{name: torch.from_numpy(values) for name, values in batch.items()}, "cls_position": cls_position}
