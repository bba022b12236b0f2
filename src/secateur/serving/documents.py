"""Documents that questions are asked about: their files, and how they are split into windows of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from secateur.data.tables import decode_line, parse_json, read_text
from secateur.data.windows import Window, slide
from secateur.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with a unique name."""

    id: str
    text: str

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of the text, which distinguishes it from other texts under the same name."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A tokenised document.

    Shapes: T tokens.

    Attributes:
        ids: (T,), int32, without special tokens.
        offsets: the characters [start, end) of each token, (T, 2), int32.
    """

    ids: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EncodedDocument:
    """A document as input to a model's upper layers.

    Shapes: T tokens, S tokens of a window, E features.

    Attributes:
        document: its name and text.
        offsets: the characters [start, end) of each token, (T, 2), int32.
        windows: for each window, its first token and its number of document tokens.
        states: for each window, the states of its tokens and ``[SEP]``, (S + 1, E).
    """

    document: Document
    offsets: np.ndarray
    windows: Sequence[Window]
    states: Sequence[np.ndarray]


class Corpus:
    """The documents in a file: JSONL with ``id`` and ``text``, or SQuAD's JSON, each passage once.

    The entire file is checked here and read again on every iteration, so that only the names and digests of a JSONL
    corpus are kept in memory.
    A passage of SQuAD is named after its article and its index there: ``TITLE/NUMBER``.

    Raises:
        SecateurError: naming file and line, if a document is malformed, empty or unnamed, or its name is already taken
            by another text; or if the file contains no document.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SecateurError(f"{path}: no such file; give documents as JSONL with id and text, or SQuAD's JSON")
        self.path = path
        digests: dict[str, bytes] = {}
        for where, document in self._rows():
            if not document.text.strip():
                raise SecateurError(f"{where}: document {document.id!r} is empty; remove it")
            if digests.setdefault(document.id, document.digest) != document.digest:
                raise SecateurError(f"{where}: document {document.id!r} occurs before with another text; rename one")
        if not digests:
            raise SecateurError(f"{path}: contains no documents; give at least one, as JSONL or SQuAD's JSON")
        self._names = digests.keys()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._names

    def __iter__(self) -> Iterator[Document]:
        seen: set[str] = set()
        for _, document in self._rows():
            if document.id not in seen:
                seen.add(document.id)
                yield document

    def _rows(self) -> Iterator[tuple[str, Document]]:
        return _squad(self.path) if self.path.suffix.lower() == ".json" else _lines(self.path)


def tokenize(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase) -> list[Tokens]:
    """The tokens of documents and their character offsets.

    Raises:
        SecateurError: if a document has no tokens.
    """
    if not documents:
        return []
    texts = [document.text for document in documents]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = [
        Tokens(ids=np.asarray(ids, dtype=np.int32), offsets=np.asarray(offsets, dtype=np.int32).reshape(-1, 2))
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]
    for document, tokens in zip(documents, found, strict=True):
        if not len(tokens.ids):
            raise SecateurError(f"document {document.id!r}: has no tokens; remove it")
    return found


def windows_of(size: int, *, room: int, doc_stride: int) -> list[Window]:
    """The windows of a document of ``size`` tokens, each with at most ``room`` of them; all in tokens."""
    return slide(np.array([size]), np.array([room]), doc_stride=doc_stride)


def _lines(path: Path) -> Iterator[tuple[str, Document]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise SecateurError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = parse_json(decode_line(line, path=path, number=number), path=path, line=number)
                where = f"{path}: line {number}"
                yield where, _document(row, where=where)


def _squad(path: Path) -> Iterator[tuple[str, Document]]:
    content = parse_json(read_text(path), path=path)
    try:
        for article in content["data"]:
            for number, paragraph in enumerate(article["paragraphs"]):
                row = {"id": f"{article['title']}/{number}", "text": paragraph["context"]}
                yield f"{path}: {row['id']}", _document(row, where=str(path))
    except (KeyError, TypeError) as error:
        raise SecateurError(
            f"{path}: not SQuAD's JSON (data > paragraphs > context); name a file with one document per line .jsonl"
        ) from error


def _document(row: Any, *, where: str) -> Document:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("id"), str | int):
        raise SecateurError(f"{where}: a document is an object with id and text, such as {{'id': 'a', 'text': 'b'}}")
    document = Document(id=str(row["id"]), text=row["text"])
    if not document.id:
        raise SecateurError(f"{where}: id is empty; give the document a name")
    return document
