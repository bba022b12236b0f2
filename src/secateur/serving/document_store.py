"""The document store: documents' states, computed by a model's lower layers, on disk for all future questions.

A folder with three files:

* ``store.json``: the model that the states belong to, and how documents are split into windows;
* ``states.bin``: the token offsets and states of one document after the other; only ever appended to;
* ``index.sqlite``: for each document, its text and the text's digest, its number of tokens, and the position, size and
  checksum of its entry in ``states.bin``.

States are on disk before their row is committed, so whenever a writer dies, every row refers to complete states; the
next writer truncates whatever follows the last of them. There is one writer at a time, and any number of readers.

Shapes: T tokens of a document, E features. A window of S tokens has S + 1 states, the last of which is ``[SEP]``'s.
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

_ALIGNMENT = 8  # bytes; every document starts at a multiple


class DamagedError(SecateurError):
    """The states or the text of a document are not those that were written."""


class DocumentStore:
    """A folder of documents' states, created by :meth:`create` and read by opening it.

    Args:
        folder: an existing store.

    Raises:
        SecateurError: if the folder contains no store, or one of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = read_header(folder)
        self._index = connect(folder)
        try:
            self._file = (folder / STATES).open("rb")
        except OSError as error:
            raise SecateurError(f"{folder / STATES}: cannot be read ({error.strerror}); encode again") from error

    @classmethod
    def create(cls, folder: Path, header: Header) -> Self:
        """An empty store in a new folder, or the existing store.

        Args:
            folder: a new or empty folder, or an existing store.
            header: the model and the settings that the states must belong to.

        Raises:
            SecateurError: if the folder contains something else, or states of another model or kind.
        """
        check_dtype(header.dtype)
        make_folder(folder, header)
        store = cls(folder)
        store.check(header)
        return store

    def check(self, header: Header) -> None:
        """Refuse states of another model, or states stored with other settings.

        Args:
            header: the header that the store should have.

        Raises:
            SecateurError: naming the first difference.
        """
        if header.model != self.header.model:
            raise SecateurError(
                f"{self.folder}: was built by another model ({self.header.model}, not {header.model}), whose states "
                "this one cannot use; encode the documents into a separate folder"
            )
        for name, asked in asdict(header).items():
            if (found := getattr(self.header, name)) != asked:
                raise SecateurError(
                    f"{self.folder}: has {name}={found}, not {asked}; choose another folder, or {name}={found}"
                )

    def __len__(self) -> int:
        return self._rows("SELECT count(*) FROM documents")[0][0]

    def size(self) -> int:
        """Bytes that the entries of all documents take in ``states.bin``, without those that were replaced."""
        return self._rows("SELECT coalesce(sum(size), 0) FROM documents")[0][0]

    def __contains__(self, id_: str) -> bool:
        return bool(self._rows("SELECT 1 FROM documents WHERE id = ?", id_))

    def documents(self) -> Iterator[Document]:
        """Every document, in order of name; documents added in the meantime may or may not be included.

        Raises:
            DamagedError: if a text is not what was written.
        """
        last = ""
        while rows := self._rows("SELECT id, text, digest FROM documents WHERE id > ? ORDER BY id LIMIT 1000", last):
            yield from (self._checked(*row) for row in rows)
            last = rows[-1][0]

    def document(self, id_: str) -> Document:
        """The document named ``id_``, without its states.

        Raises:
            SecateurError: if there is none.
            DamagedError: if its text is not what was written.
        """
        rows = self._rows("SELECT id, text, digest FROM documents WHERE id = ?", id_)
        if not rows:
            raise SecateurError(f"{self.folder}: none of its {len(self)} documents is {id_!r}; secateur-encode adds it")
        return self._checked(*rows[0])

    def find(self, document: Document) -> EncodedDocument | None:
        """The document with its states; None if the store has none, or has those of another text under that name.

        Returns:
            Its token offsets, int32 (T, 2), and the states of each window, (S + 1, E), as
            :func:`~secateur.serving.packed_states.from_bytes` returns them: float32, or float16 if stored so.

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
        """Within the context, documents can be added through the :class:`Writer` that it yields.

        Raises:
            SecateurError: if another process is writing to this store, or it cannot be written.
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
        """The bytes that the states of a window of ``size`` document tokens take, ``[SEP]`` included."""
        return (size + 1) * bytes_per_token(self.header.features, self.header.dtype)

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            return self._index.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise SecateurError(f"{self.folder}: the index cannot be read ({error}); encode again") from error

    def _end(self, written: int) -> int:
        """Where the last document ends; a damaged row that points beyond the file must not extend it."""
        (end,) = self._rows("SELECT CAST(coalesce(max(position + size), 0) AS INTEGER) FROM documents")[0]
        end = max(0, min(end, written))
        return end - end % _ALIGNMENT

    def _checked(self, id_: str, text: str, digest: bytes) -> Document:
        document = Document(id=id_, text=text)
        if document.digest != digest:
            raise DamagedError(f"{self.folder}: the text of document {id_!r} is damaged; encode it again")
        return document

    def _mapped(self, position: Any, size: Any) -> memoryview | None:
        """A range of the file through its own memory map, which is released when it is no longer referenced.

        None if there is no such range: a damaged index may contain anything.
        """
        if not isinstance(position, int) or not isinstance(size, int) or position < 0 or size <= 0:
            return None
        if position + size > os.fstat(self._file.fileno()).st_size:
            return None
        begin = position - position % mmap.ALLOCATIONGRANULARITY
        # Copy on write: PyTorch needs writable arrays, and the file must never be written through them.
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

        Documents of the same names are replaced; their old states remain in the file, unused.

        Args:
            documents: with offsets (T, 2) and the states of each window, float32 (S + 1, E).

        Returns:
            The number of bytes written to ``states.bin``.

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
            raise SecateurError(
                f"{self._store.folder}: cannot be written ({error}); the documents already in it are kept"
            ) from error
        written, self._end = position - self._end, position
        return written

    def _packed(self, encoded: EncodedDocument) -> bytes:
        """The offsets of its tokens, then the states of its windows, padded to a multiple of the alignment."""
        states = (to_bytes(window_SE, self._store.header.dtype) for window_SE in encoded.states)
        content = b"".join([encoded.offsets.astype(np.int32).tobytes(), *states])
        return content + bytes(-len(content) % _ALIGNMENT)


def _write_at(file: int, content: bytes, position: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written
