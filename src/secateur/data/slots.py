"""Lay question and document out separately: ``[CLS] question [SEP]`` in one slot, ``document [SEP]`` in another.

This is the input of models that read the two separately; see :mod:`secateur.structure.decomposition`. How much of a
document fits does not depend on the question, so that its cached states serve every question. Within a batch, each slot
is as wide as its longest entry.

Shapes: B inputs in a batch, Q tokens of the question's slot, D of the document's, L = Q + D, E examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.packing import Template
from secateur.errors import SecateurError
from secateur.structure.decomposition import PACKED, SEGMENTED


def template_of(tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Template:
    """The template of ``tokenizer`` for the layout that ``lengths`` names."""
    return {PACKED: Template, SEGMENTED: SlotTemplate}[lengths.layout].of(tokenizer)


class SlotTemplate(Template):
    """The special tokens of an architecture when question and document have their own slots.

    A [CLS] that ends an input (XLNet's) ends the question, which is then padded at its start: there is no padding
    between the two slots, and [CLS] has the same position in all rows.
    """

    @property
    def document_suffix(self) -> tuple[int, ...]:
        """What follows a document: the suffix without [CLS]."""
        return self.suffix if self.cls_type is None else self.suffix[:-1]

    def question_slot(self, max_question_length: int) -> int:
        """Tokens of the longest question, special tokens included."""
        return len(self.prefix) + max_question_length + len(self.suffix)

    def added(self, *, pair: bool = True) -> int:
        """Number of special tokens in the two slots."""
        return self.question_slot(0) + len(self.document_suffix)

    def document_rooms(self, question_sizes: np.ndarray, lengths: Lengths) -> np.ndarray:
        """How many document tokens fit next to the longest question, the same for all, (E,)."""
        room = lengths.max_seq_length - self.question_slot(lengths.max_question_length)
        room -= len(self.document_suffix)
        return np.full_like(question_sizes, room)

    def lay_out(self, firsts: Sequence[np.ndarray], seconds: Sequence[np.ndarray] | None) -> dict[str, Any]:
        """Pad B questions and B documents to their slots.

        Returns:
            input_ids and attention_mask, int64 (B, L); document_mask, bool (B, L), true at the document's own tokens;
            question_length, Q; cls_position, the position of [CLS] in all rows. The model itself derives positions and
            token types.
        """
        assert seconds is not None
        questions = [np.concatenate([self.prefix, first, self.suffix]) for first in firsts]
        documents = [np.concatenate([second, self.document_suffix]) for second in seconds]
        question_length = max(map(len, questions))
        lengths = (question_length, max(map(len, documents)))
        ids_BL = np.full((len(questions), sum(lengths)), self.pad, dtype=np.int64)
        mask_BL, document_BL = np.zeros_like(ids_BL), np.zeros(ids_BL.shape, dtype=bool)
        for row, (question, document) in enumerate(zip(questions, documents, strict=True)):
            first = 0 if self.cls_type is None else question_length - len(question)
            for begin, tokens in ((first, question), (question_length, document)):
                ids_BL[row, begin : begin + len(tokens)] = tokens
                mask_BL[row, begin : begin + len(tokens)] = 1
            document_BL[row, question_length : question_length + len(document) - len(self.document_suffix)] = True
        batch = {"input_ids": ids_BL, "attention_mask": mask_BL, "document_mask": document_BL}
        return {
            **{name: torch.from_numpy(each) for name, each in batch.items()},
            "question_length": question_length,
            "cls_position": 0 if self.cls_type is None else question_length - 1,
        }


def check_documents(template: Template, sizes: np.ndarray, ids: Sequence[str]) -> None:
    """Reject empty documents if they are read separately from questions: there would be nothing to encode.

    Args:
        template: how inputs are laid out.
        sizes: tokens of each document, (E,).
        ids: ids of the rows.

    Raises:
        SecateurError: naming the first such row.
    """
    if isinstance(template, SlotTemplate) and len(sizes) and not sizes.all():
        row = int(np.argmin(sizes != 0))
        raise SecateurError(
            f"row {ids[row]}: its document is empty, so it cannot be read separately from its question; remove the row"
        )
