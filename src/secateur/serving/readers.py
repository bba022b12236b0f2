"""How a question and documents are read: with states computed earlier, or packed into one row of tokens.

Shapes: B windows of a batch, Q tokens of the question, D of the longest window, E features, L tokens of both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.packing import Template
from secateur.data.windows import Window
from secateur.errors import SecateurError
from secateur.serving.document_store import DamagedError, DocumentStore
from secateur.serving.documents import Document, EncodedDocument, tokenize, windows_of
from secateur.serving.encoding import Encoder, check_stride
from secateur.structure.anatomy import max_positions_of
from secateur.structure.decomposition import answer
from secateur.tasks.base import model_inputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A document prepared for a question: its windows, and what the reader combines with the question for each."""

    document: Document
    offsets: np.ndarray
    windows: Sequence[Window]
    contents: Sequence[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Logits:
    """A model's outputs for a batch of windows.

    Attributes:
        start, end: the start and end logits, float32 (B, L).
        document_mask: true at the documents' own tokens, bool (B, L).
        document_start: the position of the first document token, (B,).
        cls_position: the position of [CLS], which stands for no answer, in all windows.
    """

    start: Tensor
    end: Tensor
    document_mask: Tensor
    document_start: Sequence[int]
    cls_position: int


class Reader(Protocol):
    """Reads documents together with a question; ``longest_question`` is in tokens, without special tokens."""

    longest_question: int

    def ready(self, documents: Iterable[Document], *, question_size: int) -> list[Readable]:
        """Documents in windows that leave room for a question of ``question_size`` tokens."""
        ...

    def read(self, question_ids: np.ndarray, contents: Sequence[np.ndarray]) -> Logits:
        """The model's outputs for a question, (Q,), and a batch of windows."""
        ...


class PackedReader:
    """Reads with an ordinary model: question and window go through all layers together, every time."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, lengths: Lengths) -> None:
        if lengths.max_seq_length > max_positions_of(model.config):
            raise SecateurError(
                f"max_seq_length={lengths.max_seq_length}: the model has {max_positions_of(model.config)} positions"
            )
        self.model, self.tokenizer, self.lengths = model, tokenizer, lengths
        self.template = Template.of(tokenizer)
        self.longest_question = lengths.max_question_length
        self._check_stride(self.longest_question)

    def ready(self, documents: Iterable[Document], *, question_size: int) -> list[Readable]:
        """Tokenised documents, split into windows."""
        documents = list(documents)
        room = self._check_stride(question_size)
        found = []
        for document, tokens in zip(documents, tokenize(documents, self.tokenizer), strict=True):
            windows = windows_of(len(tokens.ids), room=room, doc_stride=self.lengths.doc_stride)
            contents = [tokens.ids[first : first + size] for _, first, size in windows]
            found.append(Readable(document=document, offsets=tokens.offsets, windows=windows, contents=contents))
        return found

    def read(self, question_ids: np.ndarray, contents: Sequence[np.ndarray]) -> Logits:
        """The model's outputs for a question and a batch of windows of token ids."""
        batch = self.template.lay_out([question_ids] * len(contents), contents)
        outputs = self.model(**{name: each.to(self.model.device) for name, each in model_inputs(batch).items()})
        return Logits(
            start=outputs["start_logits"].float().cpu(),
            end=outputs["end_logits"].float().cpu(),
            document_mask=batch["document_mask"],
            document_start=batch["document_mask"].int().argmax(-1).tolist(),
            cls_position=batch["cls_position"],
        )

    def _check_stride(self, question_size: int) -> int:
        room = int(self.template.document_rooms(np.array([question_size]), self.lengths)[0])
        check_stride(self.lengths.doc_stride, room=room)
        return room


class SegmentedReader:
    """Reads with a decomposed model: documents come from a store, or go through the lower layers for each call.

    Args:
        encoder: the model's lower layers.
        store: a store of states as ``encoder`` computes them; None: every document is encoded.
    """

    def __init__(self, encoder: Encoder, store: DocumentStore | None) -> None:
        self.encoder, self.store = encoder, store
        self.longest_question = encoder.question_slot - encoder.template.question_slot(0)
        self.damaged: set[str] = set()

    def ready(self, documents: Iterable[Document], *, question_size: int) -> list[Readable]:
        """Documents with their states, stored or newly computed; their windows do not depend on the question."""
        documents = list(documents)
        found = {document: self._stored(document) for document in documents}
        missing = [document for document, states in found.items() if states is None]
        found |= {each.document: each for each in self.encoder.encode(missing)}
        return [
            Readable(document=document, offsets=each.offsets, windows=each.windows, contents=each.states)
            for document, each in found.items()
            if each is not None
        ]

    def read(self, question_ids: np.ndarray, contents: Sequence[np.ndarray]) -> Logits:
        """The upper layers' outputs for a question and a batch of windows of states."""
        template, device = self.encoder.template, self.encoder.model.device
        question_Q = np.concatenate([template.prefix, question_ids, template.suffix]).astype(np.int64)
        states_BDE, mask_BD = stacked(contents)
        mask_BL = functional.pad(mask_BD, (len(question_Q), 0), value=1)
        outputs = answer(
            self.encoder.model,
            torch.from_numpy(question_Q)[None].to(device),
            states_BDE.to(device),
            attention_mask_BL=mask_BL.to(device),
        )
        ends = torch.tensor([len(question_Q) + len(states) - len(template.document_suffix) for states in contents])
        places_L = torch.arange(mask_BL.shape[1])
        return Logits(
            start=outputs["start_logits"].float().cpu(),
            end=outputs["end_logits"].float().cpu(),
            document_mask=(places_L >= len(question_Q)) & (places_L < ends[:, None]),
            document_start=[len(question_Q)] * len(contents),
            cls_position=0 if template.cls_type is None else len(question_Q) - 1,
        )

    def _stored(self, document: Document) -> EncodedDocument | None:
        if self.store is None:
            return None
        try:
            return self.store.find(document)
        except DamagedError as error:
            if document.id not in self.damaged:
                log.warning("%s; it is encoded for this answer only", error)
            self.damaged.add(document.id)
            return None


def stacked(contents: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """States of windows, padded: float32 (B, D, E), and their mask, int64 (B, D)."""
    lengths = torch.tensor([len(states) for states in contents])
    longest = int(lengths.max())
    states_BDE = torch.zeros(len(contents), longest, contents[0].shape[1])
    for row, states in zip(states_BDE, contents, strict=True):
        row[: len(states)] = torch.from_numpy(states)
    return states_BDE, (torch.arange(longest) < lengths[:, None]).long()
