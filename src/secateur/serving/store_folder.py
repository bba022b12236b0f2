"""The folder of a document store: its files, and the header that identifies the states in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from secateur.disk import write_whole
from secateur.errors import SecateurError

FORMAT = 1
HEADER, STATES, INDEX, LOCK = "store.json", "states.bin", "index.sqlite", "writer.lock"
_JOURNAL = f"{INDEX}-journal"  # SQLite's own
_UNFINISHED = {STATES, INDEX, _JOURNAL, LOCK, f"{HEADER}.partial"}  # left by a process that died creating a store
_TABLE = """CREATE TABLE documents (
    id TEXT PRIMARY KEY, text TEXT NOT NULL, digest BLOB NOT NULL,
    tokens INTEGER NOT NULL, position INTEGER NOT NULL, size INTEGER NOT NULL, checksum INTEGER NOT NULL)"""
_PATIENCE = 60.0  # seconds that a reader waits for a writer's commit


@dataclass(frozen=True, kw_only=True)
class Header:
    """Identifies the states of a store: stores with different headers are not interchangeable.

    Attributes:
        model: a key of the model's weights, configuration and vocabulary, 16 hexadecimal digits.
        lower_layers: the number of layers that the documents have gone through.
        features: E, the number of values in the state of a token.
        dtype: the type in which states are stored: float32, float16 or int8.
        room: maximum document tokens per window, without ``[SEP]``.
        doc_stride: tokens that two neighbouring windows share.
        format: the version of the file format.
    """

    model: str
    lower_layers: int
    features: int
    dtype: str
    room: int
    doc_stride: int
    format: int = FORMAT


def make_folder(folder: Path, header: Header) -> None:
    """Create an empty store unless there is one; the header is written last, so that a folder with one is complete.

    Args:
        folder: the folder of the store, created if it does not exist.
        header: the header to write.

    Raises:
        SecateurError: if the folder contains something else, or cannot be written.
    """
    if (folder / HEADER).is_file():
        return
    if folder.is_dir() and any(path.name not in _UNFINISHED for path in folder.iterdir()):
        raise SecateurError(f"{folder}: contains something other than a document store; choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SecateurError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    with only_writer(folder):
        if not (folder / HEADER).is_file():  # no other process was faster
            _make(folder, header)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Within the context, no other process writes to the store.

    Raises:
        SecateurError: if another process is writing to it, or the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SecateurError(f"{folder}: another process is adding documents; wait until it is done") from error
    except OSError as error:
        raise SecateurError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path, header: Header) -> None:
    try:
        (folder / STATES).touch()
        for name in (_JOURNAL, INDEX):  # a remaining journal would be rolled back into the new index
            (folder / name).unlink(missing_ok=True)
        with sqlite3.connect(folder / INDEX) as index:
            index.execute(_TABLE)
        index.close()
        write_whole(folder / HEADER, json.dumps(asdict(header), indent=2) + "\n")
    except (OSError, sqlite3.DatabaseError) as error:
        raise SecateurError(f"{folder}: cannot be written ({error}); choose another folder") from error


def read_header(folder: Path) -> Header:
    """The header of the store in ``folder``.

    Raises:
        SecateurError: if the folder contains no store, or one of another format.
    """
    path = folder / HEADER
    if not path.is_file():
        raise SecateurError(f"{folder}: not a document store; create one with secateur-encode MODEL DOCUMENTS {folder}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        header = Header(**content)
    except (ValueError, TypeError) as error:
        raise SecateurError(f"{path}: not a store's header ({error}); encode the documents again") from error
    if header.format != FORMAT:
        raise SecateurError(f"{path}: has format {header.format}, but this version reads {FORMAT}; encode again")
    return header


def connect(folder: Path) -> sqlite3.Connection:
    """A connection to the index of the store in ``folder``.

    Raises:
        SecateurError: if the index is missing or damaged.
    """
    try:
        # Readers may have to roll back what a dead writer left, so the index is never opened read-only.
        address = f"{(folder / INDEX).absolute().as_uri()}?mode=rw"
        index = sqlite3.connect(address, uri=True, timeout=_PATIENCE, check_same_thread=False)
        # Decode even damaged text, so that its digest reveals the damage.
        index.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        index.execute("SELECT id FROM documents LIMIT 1")
    except sqlite3.DatabaseError as error:
        raise SecateurError(f"{folder / INDEX}: cannot be read ({error}); encode the documents again") from error
    return index
