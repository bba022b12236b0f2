"""Pages of Natural Questions, read as a stream from JSON lines (plain or gzip) or the hub into validated rows on disk.

The training set is tens of gigabytes. One process reads and distributes lines, others parse and validate them; only a
few hundred pages are in memory at a time. A row holds the part of its page that a model is shown, and the answers.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, List, Value

from secateur.data.page_formats import Page, page_of
from secateur.data.reading import load_splits
from secateur.data.shards import write_shards
from secateur.data.sources import SPLITS, Source, resolve_files
from secateur.data.tables import check_columns, decode_line, parse_json
from secateur.errors import SecateurError

# A page with its question: the texts of its candidates, words joined by spaces, each with its marker; the page token of
# each word; spans as first token, last + 1, first token, … of the candidates, and of each annotator's answers.
FEATURES = Features(
    {
        **dict.fromkeys(("id", "title", "question"), Value("string")),
        "texts": List(Value("string")),
        "markers": List(Value("string")),
        "words": List(Value("int32")),
        "candidates": List(Value("int32")),
        "long_answers": List(Value("int32")),
        "short_answers": List(List(Value("int32"))),
        "yes_no_answers": List(Value("string")),
    }
)

# A job for one process holds at most this many pages, and ends once it reaches this many bytes.
_PAGES, _BYTES = 100, 2**24
_LONGEST_LINE = 2**28


def load_pages(source: Source, folder: Path, *, processes: int | None = None) -> DatasetDict:
    """Read and check the splits ``train`` and ``test`` into ``folder``; rows with :data:`FEATURES`, memory-mapped.

    Files are ``.jsonl`` or ``.jsonl.gz``. Shards left in the folder by an interrupted process are reused.

    Args:
        source: where the pages come from.
        folder: where the rows are written.
        processes: as for :func:`secateur.data.shards.write_shards`.

    Raises:
        SecateurError: if something cannot be read or is invalid; the message names file and line.
    """
    check_columns(source.columns, known=())
    files = resolve_files(source)
    splits = {}
    for split in SPLITS:
        jobs: Iterable[_Lines | _HubRows]
        if files is not None:
            jobs, origin = chain.from_iterable(map(_chunks, files[split])), ", ".join(map(str, files[split]))
        else:
            parts = load_splits(source)[split]
            jobs, origin = chain.from_iterable(_hub_chunks(*part) for part in parts), source.name
        jobs = iter(jobs)
        first = next(jobs, None)
        if first is None:
            raise SecateurError(f"{origin}: no pages in it; a split needs at least one")
        what = f"reading {split}"
        splits[split] = write_shards(chain([first], jobs), _rows, folder / split, what=what, processes=processes)
        _check_ids(splits[split], origin=origin)
    return DatasetDict(splits)


class _Lines(NamedTuple):
    """Consecutive lines of a file, beginning with line number ``first``."""

    path: Path
    first: int
    lines: list[bytes]


class _HubRows(NamedTuple):
    """Consecutive rows of a split on the hub, beginning with row number ``first``."""

    origin: str
    first: int
    rows: pa.Table


def _chunks(path: Path) -> Iterator[_Lines]:
    lines: list[bytes] = []
    first, size = 1, 0
    for number, line in enumerate(_read_lines(path), start=1):
        lines.append(line)
        size += len(line)
        if len(lines) == _PAGES or size >= _BYTES:
            yield _Lines(path, first, lines)
            lines, first, size = [], number + 1, 0
    if any(line.strip() for line in lines):
        yield _Lines(path, first, lines)


def _read_lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise SecateurError(
                        f"{path}: line {number}: is longer than {_LONGEST_LINE} bytes; put one page on each line"
                    )
                yield line
    except EOFError as error:
        raise SecateurError(f"{path}: line {number + 1}: the gzip data is cut short; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SecateurError(f"{path}: line {number + 1}: damaged gzip ({error}); fetch the file again") from error
    except OSError as error:
        raise SecateurError(f"{path}: cannot be read ({error.strerror})") from error


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _hub_chunks(_name: str, origin: str, part: datasets.Dataset) -> Iterator[_HubRows]:
    rows = part.with_format("arrow")
    for first in range(0, len(part), _PAGES):
        yield _HubRows(origin, first + 1, rows[first : first + _PAGES])


# --- In the processes that parse ---


def _rows(job: _Lines | _HubRows) -> pa.Table:
    """A table of the pages of a job."""
    pages = list(_pages_of_lines(job) if isinstance(job, _Lines) else _pages_of_rows(job))
    columns = zip(*map(_row, pages), strict=True) if pages else [[] for _ in FEATURES]
    return pa.Table.from_pydict(dict(zip(FEATURES, columns, strict=True)), schema=FEATURES.arrow_schema)


def _pages_of_lines(job: _Lines) -> Iterator[Page]:
    for number, line in enumerate(job.lines, start=job.first):
        if line.strip():
            record = parse_json(decode_line(line, path=job.path, number=number), path=job.path, line=number)
            yield page_of(record, where=f"{job.path}: line {number}")


def _pages_of_rows(job: _HubRows) -> Iterator[Page]:
    for number, record in enumerate(job.rows.to_pylist(), start=job.first):
        yield page_of(record, where=f"{job.origin}: row {number}")


def _row(page: Page) -> tuple[Any, ...]:
    shown = list(page.shown())
    return (
        *(page.id, page.title, page.question),
        [" ".join(page.tokens[token].replace(" ", "_") for token in words) for _, _, words in shown],
        [marker for marker, _, _ in shown],
        [token for _, _, words in shown for token in words],
        [token for _, span, _ in shown for token in span],
        [token for each in page.annotations for token in each.long],
        [[token for span in each.short for token in span] for each in page.annotations],
        [each.yes_no for each in page.annotations],
    )


def _check_ids(rows: Dataset, *, origin: str) -> None:
    seen: dict[str, int] = {}
    for number, page_id in enumerate(rows["id"], start=1):
        if page_id in seen:
            raise SecateurError(
                f"{origin}: pages {seen[page_id]} and {number} of this split both have the example_id {page_id!r}; "
                "ids must differ"
            )
        seen[page_id] = number
