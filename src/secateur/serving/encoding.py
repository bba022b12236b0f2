"""Encoding documents: running them through the tokenizer and a model's lower layers, once for all future questions.

Shapes: B windows of a batch, D tokens of the longest of them, E features.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.data.slots import SlotTemplate
from secateur.errors import SecateurError, check_at_least_one
from secateur.serving.document_store import DamagedError, DocumentStore
from secateur.serving.documents import Document, EncodedDocument, tokenize, windows_of
from secateur.serving.heap import trim_heap
from secateur.serving.store_folder import Header
from secateur.structure.anatomy import max_positions_of
from secateur.structure.decomposition import encode, lower_layers_of, question_slot_of

_T = TypeVar("_T")
# Configuration values that concern a model's location and name, not what it computes.
_OF_NO_EFFECT = ("architectures", "auto_map", "dtype", "transformers_version", "_name_or_path")


class Encoder:
    """A model's lower layers, and how they read documents.

    Args:
        model: a model that reads question and document separately, in evaluation mode.
        tokenizer: the model's tokenizer.
        room: maximum document tokens per window, see :func:`room_of`.
        doc_stride: tokens that two neighbouring windows share.
        batch_size: windows per forward pass.

    Raises:
        SecateurError: if the model reads question and document packed, or windows would not advance.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, room: int, doc_stride: int, batch_size: int
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        check_stride(doc_stride, room=room)
        self.model, self.tokenizer = model, tokenizer
        self.template = SlotTemplate.of(tokenizer)
        self.question_slot = question_slot_of(model)
        self.room, self.doc_stride, self.batch_size = room, doc_stride, batch_size

    def header(self, *, dtype: str) -> Header:
        """The header of a store for the states that this encoder computes.

        Args:
            dtype: the type that states are stored in: float32, float16 or int8.
        """
        return Header(
            model=model_key(self.model, self.tokenizer),
            lower_layers=lower_layers_of(self.model.config),
            features=self.model.config.hidden_size,
            dtype=dtype,
            room=self.room,
            doc_stride=self.doc_stride,
        )

    def encode(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        """Run documents through the lower layers, with windows of similar length in one batch.

        Returns:
            For each document, in order, its token offsets, int32 (T, 2) for T tokens, and the states of each of its
            windows, float32 (S + 1, E) for S document tokens and ``[SEP]``.

        Raises:
            SecateurError: if a document has no tokens.
        """
        tokens = tokenize(documents, self.tokenizer)
        windows = [windows_of(len(each.ids), room=self.room, doc_stride=self.doc_stride) for each in tokens]
        texts = [
            np.concatenate([each.ids[first : first + size], self.template.document_suffix])
            for each, parts in zip(tokens, windows, strict=True)
            for _, first, size in parts
        ]
        states = iter(self._states(texts))
        return [
            EncodedDocument(
                document=document, offsets=each.offsets, windows=parts, states=[next(states) for _ in parts]
            )
            for document, each, parts in zip(documents, tokens, windows, strict=True)
        ]

    def _states(self, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The states of each text, (its length, E), float32."""
        found: list[np.ndarray] = [np.empty(0)] * len(texts)
        order = np.argsort([-len(text) for text in texts], kind="stable").tolist()
        for batch in batched(order, self.batch_size):
            ids_BD, mask_BD = padded([texts[index] for index in batch], pad=self.template.pad)
            device = self.model.device
            with torch.inference_mode():
                states_BDE = encode(self.model, ids_BD.to(device), mask_BD.to(device)).float().cpu().numpy()
            for index, states_DE in zip(batch, states_BDE, strict=True):
                found[index] = states_DE[: len(texts[index])]
        return found


def encode_into(
    store: DocumentStore, encoder: Encoder, documents: Iterable[Document], *, at_a_time: int
) -> Iterator[tuple[int, int]]:
    """Encode those of ``documents`` that the store does not have intact, committing after every ``at_a_time`` of them.

    Yields:
        After each commit, the number of documents processed and how many of them were encoded.

    Raises:
        SecateurError: if a document has no tokens, the store cannot be written, or another process is writing to it.
    """
    with store.writing() as writer:
        for batch in batched(documents, at_a_time):
            missing = [document for document in batch if not _is_whole(store, document)]
            if missing:  # documents already stored cost no write to disk
                writer.add(encoder.encode(missing))
                trim_heap()
            yield len(batch), len(missing)


def room_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_seq_length: int) -> int:
    """The room for document tokens in a window, if it and the question slot together have ``max_seq_length``.

    Returns:
        The maximum number of document tokens, without ``[SEP]``.

    Raises:
        SecateurError: if the model reads question and document packed.
    """
    end = len(SlotTemplate.of(tokenizer).document_suffix)
    return min(max_seq_length - question_slot_of(model), max_positions_of(model.config)) - end


def model_key(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """A key of everything that states depend on: the weights and configuration of the model's body, and the vocabulary.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    config = {name: value for name, value in model.config.to_dict().items() if name not in _OF_NO_EFFECT}
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())
    for setting in ("truncation", "padding"):  # left over from the last use of the tokenizer
        vocabulary.pop(setting, None)
    for part in (config, vocabulary):
        digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    for name, weights in sorted(model.base_model.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def check_stride(doc_stride: int, *, room: int) -> None:
    """Refuse a stride with which windows would not advance.

    Args:
        doc_stride: tokens that two neighbouring windows share.
        room: maximum document tokens per window.

    Raises:
        SecateurError: naming the room in a window.
    """
    if not 0 <= doc_stride < room:
        raise SecateurError(
            f"doc_stride={doc_stride}: must be 0 or more, and below the {room} document tokens that a window has room "
            "for; lower it, or raise max_seq_length"
        )


def padded(rows: Sequence[np.ndarray], *, pad: int) -> tuple[Tensor, Tensor]:
    """Token ids, padded with ``pad``, and their attention mask, both int64 (B, D), of B rows of at most D ids."""
    ids = [torch.from_numpy(row).long() for row in rows]
    mask_BD = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    return pad_sequence(ids, batch_first=True, padding_value=pad), mask_BD


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of ``size`` items; the last contains the remaining items."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _is_whole(store: DocumentStore, document: Document) -> bool:
    try:
        return store.find(document) is not None
    except DamagedError:
        return False
