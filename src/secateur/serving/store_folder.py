"""The folder of a document store: its files, and the header that says what the states in it are of."""

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
_UNFINISHED = {STATES, INDEX, _JOURNAL, LOCK, f"{HEADER}.partial"}  # what a process leaves that died making a store
_TABLE = """CREATE TABLE documents (
    id TEXT PRIMARY KEY, text TEXT NOT NULL, digest BLOB NOT NULL,
    tokens INTEGER NOT NULL, position INTEGER NOT NULL, size INTEGER NOT NULL, checksum INTEGER NOT NULL)"""
_PATIENCE = 60.0  # seconds that a reader waits for a writer's commit


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the states of a store are of. A store of another header is another store.

    Attributes:
        model: a key of the model's weights, configuration and vocabulary.
        lower_layers: how many layers the documents have gone through.
        features: E.
        dtype: that states are kept in: float32, float16 or int8.
        room: document tokens of a window.
        doc_stride: tokens that two neighbouring windows share.
    """

    model: str
    lower_layers: int
    features: int
    dtype: str
    room: int
    doc_stride: int
    format: int = FORMAT


def make_folder(folder: Path, header: Header) -> None:
    """An empty store where there is none; the header comes last, so that a folder with one is whole.

    Raises:
        SecateurError: if the folder holds something else, or cannot be written.
    """
    if (folder / HEADER).is_file():
        return
    if folder.is_dir() and any(path.name not in _UNFINISHED for path in folder.iterdir()):
        raise SecateurError(f"{folder}: holds something else than a document store; choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SecateurError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    with only_writer(folder):
        if not (folder / HEADER).is_file():  # nobody else was quicker
            _make(folder, header)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Within the context nobody else writes to the store.

    Raises:
        SecateurError: if another process does so now, or the folder cannot be written.
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
        for name in (_JOURNAL, INDEX):  # a journal that stayed would be rolled back into the new index
            (folder / name).unlink(missing_ok=True)
        with sqlite3.connect(folder / INDEX) as index:
            index.execute(_TABLE)
        index.close()
        write_whole(folder / HEADER, json.dumps(asdict(header), indent=2) + "\n")
    except (OSError, sqlite3.DatabaseError) as error:
        raise SecateurError(f"{folder}: cannot be written ({error}); choose another folder") from error


def read_header(folder: Path) -> Header:
    """What a store is of.

    Raises:
        SecateurError: if the folder holds no store, or one of another format.
    """
    path = folder / HEADER
    if not path.is_file():
        raise SecateurError(f"{folder}: holds no document store; secateur-encode MODEL DOCUMENTS {folder} makes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        header = Header(**content)
    except (ValueError, TypeError) as error:
        raise SecateurError(f"{path}: not a store's header ({error}); encode the documents anew") from error
    if header.format != FORMAT:
        raise SecateurError(f"{path}: is of format {header.format}, this version reads {FORMAT}; encode anew")
    return header


def connect(folder: Path) -> sqlite3.Connection:
    """The index of a store.

    Raises:
        SecateurError: if it is not there, or damaged.
    """
    try:
        # Readers may have to roll back what a dead writer left, so nobody opens it read-only.
        address = f"{(folder / INDEX).absolute().as_uri()}?mode=rw"
        index = sqlite3.connect(address, uri=True, timeout=_PATIENCE, check_same_thread=False)
        # Of a text that is damaged whatever can be read, so that its digest tells.
        index.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        index.execute("SELECT id FROM documents LIMIT 1")
    except sqlite3.DatabaseError as error:
        raise SecateurError(f"{folder / INDEX}: cannot be read ({error}); encode the documents anew") from error
    return index
