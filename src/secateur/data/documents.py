"""Plain-text documents: one paragraph per line; a blank line or a new file separates two documents.

Files are indexed, not held in memory: a row is a document's position in its file, and its text is read when needed;
rows from the hub stay in their memory map. Memory therefore grows with the number of documents (about a kilobyte each
while they are split) and with the longest one, not with the amount of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, Value, concatenate_datasets

from secateur.data.reading import load_splits
from secateur.data.rows import title_of
from secateur.data.sources import Source, parts_off_test, resolve_files
from secateur.data.split import split_off
from secateur.data.tables import TABLE_SUFFIXES, Table, check_columns, decode_line, find_columns
from secateur.errors import SecateurError

COLUMNS = ("id", "title", "text")
GROUP_KEYS = ("title", "id")
PLACES = Features(
    {**dict.fromkeys(("id", "title", "file"), Value("string")), **dict.fromkeys(("begin", "end"), Value("int64"))}
)


def load_documents(source: Source) -> DatasetDict:
    """Find the documents of the splits ``train`` and ``test``.

    Files are UTF-8 text; a document's id is FILE:NUMBER, its title the beginning of its text. Rows from the hub are
    documents, with the column ``text`` and optionally ``id`` and ``title``. If there is no test split, a fixed
    ``source.test_share`` of the training documents is split off as one.

    Returns:
        Rows with id, title and what :func:`paragraphs` needs to read the text.

    Raises:
        SecateurError: if something cannot be read, naming file and line, or contains no text.
    """
    check_columns(source.columns, known=COLUMNS)
    files = resolve_files(source)
    if files is None:
        splits = {
            split: [_renamed(part, source, name=name, origin=origin) for name, origin, part in parts]
            for split, parts in load_splits(source).items()
        }
    else:
        splits = {split: [_indexed(path) for path in paths] for split, paths in files.items()}
    rows = {split: concatenate_datasets(parts) for split, parts in splits.items() if parts}
    if parts_off_test(source):
        assert source.test_share is not None
        rows["train"], rows["test"] = split_off(
            rows["train"], group_keys=GROUP_KEYS, share=source.test_share, purpose="test"
        )
    return DatasetDict(rows)


def paragraphs(rows: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """The non-blank lines of each document, read from its file or its column ``text``."""
    texts = rows["text"] if "text" in rows else _read(rows)
    return [[line.strip() for line in (text or "").split("\n") if line.strip()] for text in texts]


def all_paragraphs(rows: Dataset) -> Iterator[str]:
    """The paragraphs of all documents in order, never all in memory at once."""
    for batch in rows.iter(batch_size=100):
        for of_document in paragraphs(batch):
            yield from of_document


# --- Files ---


def _indexed(path: Path) -> Dataset:
    """A row for each document of a file."""
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise SecateurError(f"{path}: documents are read from plain text, not from {path.suffix}; convert the file")
    try:
        with path.open("rb") as file:
            places = list(_places(file, path))
    except OSError as error:
        raise SecateurError(f"{path}: cannot be read ({error.strerror})") from error
    if not places:
        raise SecateurError(f"{path}: no text in it; give documents of one paragraph a line")
    titles, begins, ends = zip(*places, strict=True)
    columns = {
        "id": [f"{path.name}:{number}" for number in range(1, len(places) + 1)],
        "title": titles,
        "file": [str(path.absolute())] * len(places),
        "begin": begins,
        "end": ends,
    }
    return Dataset(pa.Table.from_pydict(columns, schema=PLACES.arrow_schema))


def _places(file: BinaryIO, path: Path) -> Iterator[tuple[str, int, int]]:
    """Title (the beginning of the text), first byte and last byte + 1 of each document."""
    position = begin = 0
    title = ""
    for number, line in enumerate(file, start=1):
        text = decode_line(line, path=path, number=number).strip()
        if text and not title:
            begin, title = position, title_of(None, text=text)
        if title and not text:
            yield title, begin, position
            title = ""
        position += len(line)
    if title:
        yield title, begin, position


def _read(rows: Mapping[str, Sequence[Any]]) -> Iterable[str]:
    files: dict[str, BinaryIO] = {}
    with ExitStack() as stack:
        for name, begin, end in zip(rows["file"], rows["begin"], rows["end"], strict=True):
            if name not in files:
                files[name] = stack.enter_context(Path(name).open("rb"))
            files[name].seek(begin)
            yield files[name].read(end - begin).decode("utf-8-sig")


# --- The hub ---


def _renamed(part: Dataset, source: Source, *, name: str, origin: str) -> Dataset:
    """The hub's rows under our column names; a missing id becomes a number, a missing title the id."""
    # Each column holds its own name, so that the lookup finds names and reads no data.
    table = Table(origin=origin, name=name, columns={column: [column] for column in part.column_names})
    found = find_columns(table, source.columns, names=COLUMNS, required=("text",))
    if len(part) == 0:
        raise SecateurError(f"{origin}: no rows in it; a split needs at least one")
    rows = part.select_columns([theirs for (theirs,) in found.values()])
    rows = rows.rename_columns({theirs: ours for ours, (theirs,) in found.items() if ours != theirs})
    if "id" not in found:
        rows = rows.add_column("id", [f"{name}:{number}" for number in range(1, len(part) + 1)])
    if "title" not in found:
        rows = rows.add_column("title", rows["id"][:])
    return rows
