"""A small corpus, its vocabulary, and models with random weights that read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.data.vocabulary import train_wordpiece
from secateur.serving.document_store import DocumentStore
from secateur.serving.documents import Document
from secateur.serving.encoding import Encoder, encode_into, room_of
from secateur.structure.decomposition import decompose
from tests.architectures import random_model

SEQUENCE, STRIDE, SLOT = 32, 4, 10  # tokens: a document of a few dozen has several windows
COLOURS = ("red", "green", "blue")
SENTENCES = [f"Door {n} is {COLOURS[n % 3]}, it stands beside wall {n * 7}." for n in range(40)]


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """20 documents of one to three sentences."""
    return [Document(id=f"doors/{n}", text=" ".join(SENTENCES[n : n + 1 + n % 3])) for n in range(20)]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_wordpiece(SENTENCES, vocab_size=120)


@pytest.fixture(scope="session")
def packed(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """An ordinary model."""
    return random_model("bert", vocab_size=len(tokenizer))


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The same model, of which two of three layers read question and document apart."""
    return decompose(random_model("bert", vocab_size=len(tokenizer)), lower_layers=2, question_slot=SLOT)


@pytest.fixture(scope="session")
def encoder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Encoder:
    return encoder_of(model, tokenizer)


def encoder_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_seq_length: int = SEQUENCE
) -> Encoder:
    room = room_of(model, tokenizer, max_seq_length=max_seq_length)
    return Encoder(model, tokenizer, room=room, doc_stride=STRIDE, batch_size=4)


@pytest.fixture
def empty(encoder: Encoder, tmp_path: Path) -> DocumentStore:
    return DocumentStore.create(tmp_path / "store", encoder.header(dtype="float32"))


@pytest.fixture
def filled(empty: DocumentStore, encoder: Encoder, documents: list[Document]) -> DocumentStore:
    list(encode_into(empty, encoder, documents, at_a_time=8))
    return empty
