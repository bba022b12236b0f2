"""Documents that questions are asked of: their files, and how they are parted into windows of tokens."""

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
    """A text under a name of its own."""

    id: str
    text: str

    @property
    def digest(self) -> bytes:
        """A key of the text, so that what was made of another text under the same name is told apart."""
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
    """A document as a model's upper layers take it.

    Shapes: T tokens, S tokens of a window, E features.

    Attributes:
        offsets: the characters [start, end) of each token, (T, 2), int32.
        windows: where each begins, and how many of the document's tokens it has.
        states: of each window, (S + 1, E): its tokens and ``[SEP]``.
    """

    document: Document
    offsets: np.ndarray
    windows: Sequence[Window]
    states: Sequence[np.ndarray]


class Corpus:
    """Documents of a file: JSONL with ``id`` and ``text``, or SQuAD's JSON, each passage once.

    The whole file is checked here, and read anew each time that the documents are gone through, so that of a corpus in
    JSONL no more than names and digests is in memory.
    A passage of SQuAD is called after its article, with its number there: ``TITLE/NUMBER``.

    Raises:
        SecateurError: naming file and line, if a document is malformed, empty, has no name, or that of another; or if
            there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SecateurError(f"{path}: no such file; give documents as JSONL with id and text, or SQuAD's JSON")
        self.path = path
        digests: dict[str, bytes] = {}
        for where, document in self._rows():
            if not document.text.strip():
                raise SecateurError(f"{where}: document {document.id!r} is empty; take it out")
            if digests.setdefault(document.id, document.digest) != document.digest:
                raise SecateurError(f"{where}: document {document.id!r} was there before with another text; rename one")
        if not digests:
            raise SecateurError(f"{path}: holds no documents; give at least one, as JSONL or SQuAD's JSON")
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
    """Tokens of documents and where they stand.

    Raises:
        SecateurError: if one holds nothing that the tokenizer knows of.
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
            raise SecateurError(f"document {document.id!r}: is empty to the tokenizer; take it out")
    return found


def windows_of(size: int, *, room: int, doc_stride: int) -> list[Window]:
    """How a document of ``size`` tokens is read by a model that has room for so many."""
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
            f"{path}: not SQuAD's JSON (data > paragraphs > context); a file with one document a line is named .jsonl"
        ) from error


def _document(row: Any, *, where: str) -> Document:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not isinstance(row.get("id"), str | int):
        raise SecateurError(f"{where}: a document is an object with id and text, such as {{'id': 'a', 'text': 'b'}}")
    document = Document(id=str(row["id"]), text=row["text"])
    if not document.id:
        raise SecateurError(f"{where}: id is empty; give the document a name")
    return document
