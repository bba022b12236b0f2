"""The document store: what a model's lower layers make of documents, on disk, for every question to come.

A folder with three files:

* ``store.json``: which model the states are of, and how documents are parted into windows;
* ``states.bin``: the states of one document after the other, only ever appended to;
* ``index.sqlite``: for each document its text and a digest of it, how many tokens it has, where its states lie, and a
  checksum of both.

States are on disk before their row is committed, so whatever moment a writer dies at, every row leads to whole states;
what lies behind the last of them is cut off by the next writer. There is one writer at a time, and any number of
readers.

Shapes: T tokens of a document, E features. A window of S tokens has S + 1 states, the last of ``[SEP]``.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from secateur.errors import SecateurError
from secateur.serving.documents import Document, EncodedDocument, windows_of
from secateur.serving.packed_states import bytes_per_token, check_dtype, from_bytes, to_bytes
from secateur.serving.store_folder import STATES, Header, connect, make_folder, only_writer, read_header

_ALIGNMENT = 8  # bytes; every document begins at a multiple


class DamagedError(SecateurError):
    """The states of a document are not those that were written."""


class DocumentStore:
    """A folder of documents' states; made by :meth:`create`, read by whoever opens it.

    Raises:
        SecateurError: if the folder holds no store, or one of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = read_header(folder)
        self._index = connect(folder)
        try:
            self._file = (folder / STATES).open("rb")
        except OSError as error:
            raise SecateurError(f"{folder / STATES}: cannot be read ({error.strerror}); encode anew") from error

    @classmethod
    def create(cls, folder: Path, header: Header) -> Self:
        """An empty store in a new folder, or the one that is there.

        Raises:
            SecateurError: if the folder holds something else, or states of another model or kind.
        """
        check_dtype(header.dtype)
        make_folder(folder, header)
        store = cls(folder)
        store.check(header)
        return store

    def check(self, header: Header) -> None:
        """Refuse states of another model, or kept otherwise.

        Raises:
            SecateurError: naming the first difference.
        """
        if header.model != self.header.model:
            raise SecateurError(
                f"{self.folder}: was built by another model ({self.header.model}, not {header.model}), whose states "
                "say nothing to this one; encode the documents into a folder of their own"
            )
        for name, asked in asdict(header).items():
            if (found := getattr(self.header, name)) != asked:
                raise SecateurError(
                    f"{self.folder}: has {name}={found}, not {asked}; choose another folder, or {found}"
                )

    def __len__(self) -> int:
        return self._rows("SELECT count(*) FROM documents")[0][0]

    def size(self) -> int:
        """Bytes of the states of all documents, of which what was replaced is no part."""
        return self._rows("SELECT coalesce(sum(size), 0) FROM documents")[0][0]

    def __contains__(self, id_: str) -> bool:
        return bool(self._rows("SELECT 1 FROM documents WHERE id = ?", id_))

    def documents(self) -> Iterator[Document]:
        """Every document, by name; what is added meanwhile may or may not be among them.

        Raises:
            DamagedError: if a text is not what was written.
        """
        last = ""
        while rows := self._rows("SELECT id, text, digest FROM documents WHERE id > ? ORDER BY id LIMIT 1000", last):
            yield from (self._checked(*row) for row in rows)
            last = rows[-1][0]

    def document(self, id_: str) -> Document:
        """The document of that name.

        Raises:
            SecateurError: if there is none, or its text is not what was written.
        """
        rows = self._rows("SELECT id, text, digest FROM documents WHERE id = ?", id_)
        if not rows:
            raise SecateurError(f"{self.folder}: holds no document {id_!r}, of {len(self)}; secateur-encode adds it")
        return self._checked(*rows[0])

    def find(self, document: Document) -> EncodedDocument | None:
        """The document with its states; None where they are not there, or of another text of that name.

        Raises:
            DamagedError: if the states are not what was written.
        """
        rows = self._rows(
            "SELECT tokens, position, size, checksum, digest, text = ? FROM documents WHERE id = ?",
            *(document.text, document.id),
        )
        if not rows or rows[0][-2:] != (document.digest, 1):
            return None
        tokens, position, size, checksum, *_ = rows[0]
        content = self._mapped(position, size)
        if content is None or not isinstance(tokens, int) or zlib.crc32(content, tokens) != checksum:
            raise DamagedError(f"{self.folder}: the states of document {document.id!r} are damaged; encode it again")
        return self._unpacked(document, content, tokens=tokens)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Within the context documents can be added.

        Raises:
            SecateurError: if another process writes to this store, or it cannot be written.
        """
        with only_writer(self.folder):
            try:
                file = (self.folder / STATES).open("r+b")
            except OSError as error:
                raise SecateurError(f"{self.folder}: cannot be written ({error.strerror})") from error
            with file:
                file.truncate(end := self._end(os.fstat(file.fileno()).st_size))
                yield Writer(self, file.fileno(), self._index, end)

    def bytes_per_window(self, size: int) -> int:
        """What the states of a window of ``size`` document tokens take."""
        return (size + 1) * bytes_per_token(self.header.features, self.header.dtype)

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            return self._index.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise SecateurError(f"{self.folder}: the index cannot be read ({error}); encode anew") from error

    def _end(self, written: int) -> int:
        """Where the last document ends; a damaged row that leads beyond the file is no reason to make it longer."""
        (end,) = self._rows("SELECT CAST(coalesce(max(position + size), 0) AS INTEGER) FROM documents")[0]
        end = max(0, min(end, written))
        return end - end % _ALIGNMENT

    def _checked(self, id_: str, text: str, digest: bytes) -> Document:
        document = Document(id=id_, text=text)
        if document.digest != digest:
            raise DamagedError(f"{self.folder}: the text of document {id_!r} is damaged; encode it again")
        return document

    def _mapped(self, position: Any, size: Any) -> memoryview | None:
        """A stretch of the file through a memory map of its own, which goes when nobody looks at it any more.

        None where there is no such stretch: a damaged index may hold anything.
        """
        if not isinstance(position, int) or not isinstance(size, int) or position < 0 or size <= 0:
            return None
        if position + size > os.fstat(self._file.fileno()).st_size:
            return None
        begin = position - position % mmap.ALLOCATIONGRANULARITY
        # Copy on write: PyTorch wants arrays that could be written, and the file never is.
        mapped = mmap.mmap(self._file.fileno(), position + size - begin, access=mmap.ACCESS_COPY, offset=begin)
        return memoryview(mapped)[position - begin :]

    def _unpacked(self, document: Document, content: memoryview, *, tokens: int) -> EncodedDocument:
        offsets = np.frombuffer(content, dtype=np.int32, count=2 * tokens).reshape(tokens, 2)
        windows = windows_of(tokens, room=self.header.room, doc_stride=self.header.doc_stride)
        place, states = offsets.nbytes, []
        for window in windows:
            size = self.bytes_per_window(window.size)
            part = content[place : place + size]
            kinds = {"features": self.header.features, "dtype": self.header.dtype}
            states.append(from_bytes(part, tokens=window.size + 1, **kinds))  # type: ignore[arg-type]
            place += size
        return EncodedDocument(document=document, offsets=offsets, windows=windows, states=states)


class Writer:
    """Adds documents to a store, several at a time; made by :meth:`DocumentStore.writing`."""

    def __init__(self, store: DocumentStore, file: int, index: sqlite3.Connection, end: int) -> None:
        self._store = store
        self._file = file
        self._index = index
        self._end = end

    def add(self, documents: Iterable[EncodedDocument]) -> int:
        """Add documents, all or none of them.

        What is kept under the same names is replaced; its states stay in the file, unused.

        Returns:
            bytes written.

        Raises:
            SecateurError: if they cannot be written.
        """
        rows, position = [], self._end
        try:
            for each in documents:
                content = self._packed(each)
                _write_at(self._file, content, position)
                tokens = len(each.offsets)
                place = (tokens, position, len(content), zlib.crc32(content, tokens))
                rows.append((each.document.id, each.document.text, each.document.digest, *place))
                position += len(content)
            os.fsync(self._file)
            with self._index:
                self._index.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        except (OSError, sqlite3.DatabaseError) as error:
            raise SecateurError(f"{self._store.folder}: cannot be written ({error}); what is in it stays") from error
        written, self._end = position - self._end, position
        return written

    def _packed(self, encoded: EncodedDocument) -> bytes:
        """Where its tokens stand, then the states of its windows, up to a whole multiple of the alignment."""
        states = (to_bytes(window_SE, self._store.header.dtype) for window_SE in encoded.states)
        content = b"".join([encoded.offsets.astype(np.int32).tobytes(), *states])
        return content + bytes(-len(content) % _ALIGNMENT)


def _write_at(file: int, content: bytes, position: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written
