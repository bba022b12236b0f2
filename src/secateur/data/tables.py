"""Tables as columns of plain values, whatever they mean, and the files that contain them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from secateur.errors import SecateurError

# Our column -> the table's, or several, of which the first that exists is taken.
Columns = Mapping[str, str | Sequence[str] | None]

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # JSON's escape of half a surrogate pair (characters beyond U+FFFF)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of one length.

    Attributes:
        origin: the source, for messages: a file's path, or the hub's name and split.
        name: its short form, for row ids: the file's name, or the split.
        columns: column name -> values. Values from CSV and TSV are all text.
    """

    origin: str
    name: str
    columns: Mapping[str, list[Any]]


def read_text(path: Path) -> str:
    """The complete text of a UTF-8 file, without a byte order mark, line ends unchanged.

    Raises:
        SecateurError: if the file cannot be read or is not UTF-8, naming the line.
    """
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise SecateurError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise SecateurError(f"{path}: line {line}: byte 0x{byte:02x} is not UTF-8; convert the file") from error


def decode_line(line: bytes, *, path: Path, number: int) -> str:
    """A line of a UTF-8 file as text, without a byte order mark at the beginning of the file.

    Args:
        line: the line's bytes.
        path: the file, for messages.
        number: the line's number, from 1.

    Raises:
        SecateurError: if the line is not UTF-8, naming file and line.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SecateurError(f"{path}: line {number}: byte 0x{byte:02x} is not UTF-8; convert the file") from error


def parse_json(text: str, *, path: Path, line: int | None = None) -> Any:
    """Parse a JSON document, or one line of a file.

    Raises:
        SecateurError: if the text is not valid JSON, is cut short, or contains half a surrogate pair, naming file and
            line.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise SecateurError(f"{path}: {where}: not valid JSON, or cut short ({error.msg})") from error
    if _SURROGATE.search(text):
        _check_pairs(found, where=str(path) if line is None else f"{path}: line {line}")
    return found


def _check_pairs(found: Any, *, where: str) -> None:
    """Reject halves of surrogate pairs: JSON has escapes for them, but UTF-8 and Arrow cannot represent them."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        before, half = error.object[max(0, error.start - 30) : error.start], error.object[error.start]
        raise SecateurError(f"{where}: half of a surrogate pair, {half!r}, after {before!r}; remove it") from error


def read_table(path: Path, *, column_names: Sequence[str] | None = None, quoting: bool = True) -> Table:
    """Read a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file.

    In CSV and TSV, no text is read as a missing value (an answer may well be "None"); an empty field is an empty text.

    Args:
        path: the file; its suffix decides how it is read.
        column_names: column names of a CSV or TSV file without a header row; None takes them from the first row.
        quoting: whether fields of CSV and TSV may be quoted with ``"``; if not, quotes are plain characters.

    Raises:
        SecateurError: if the file cannot be read, naming it and, if known, the row; or if two columns have one name.
    """
    suffix = path.suffix.lower()
    if suffix in _SEPARATORS:
        columns = _read_csv(path, _SEPARATORS[suffix], column_names=column_names, quoting=quoting)
    elif suffix in _READERS:
        columns = _READERS[suffix](path)
    else:
        known = ", ".join((*_SEPARATORS, *_READERS))
        raise SecateurError(f"{path}: rows are read from {known} files, not from {path.suffix!r}; convert the file")
    return Table(origin=str(path), name=path.name, columns=columns)


def check_columns(columns: Columns, *, known: Sequence[str]) -> None:
    """Reject settings for columns that the task does not have.

    Raises:
        SecateurError: for the first unknown name.
    """
    for name in columns:
        if name not in known:
            raise SecateurError(f"dataset.columns.{name}: not a column of this task; its columns: {', '.join(known)}")


def find_columns(
    table: Table,
    columns: Columns,
    *,
    names: Sequence[str],
    required: Sequence[str],
) -> dict[str, list[Any]]:
    """Our column names -> values, for the columns that exist.

    Args:
        table: where to look.
        columns: our name -> the table's, or several, of which the first that exists is taken; a name that is absent
            here is looked up unchanged, and one that is None is not looked up.
        names: our names.
        required: those that must exist, in addition to those given in ``columns``.

    Raises:
        SecateurError: for the first missing column.
    """
    found = {}
    for ours in names:
        wanted = columns.get(ours, ours)
        candidates = [wanted] if isinstance(wanted, str) else list(wanted or ())
        present = next((name for name in candidates if name in table.columns), None)
        if present is not None:
            found[ours] = table.columns[present]
        elif columns.get(ours) or ours in required:
            raise missing_column(table, ours, candidates)
    return found


def missing_column(table: Table, ours: str, wanted: Sequence[str]) -> SecateurError:
    """The error for a required column that ``table`` lacks; it was looked up under the names ``wanted``."""
    return SecateurError(
        f"{table.origin}: no column {' or '.join(map(repr, wanted)) or repr(ours)} for dataset.columns.{ours}; "
        f"set it to one of {', '.join(table.columns) or '(the file has none)'}"
    )


def _read_csv(path: Path, separator: str, *, column_names: Sequence[str] | None, quoting: bool) -> dict[str, list[Any]]:
    text = io.StringIO(read_text(path), newline="")
    settings: dict[str, Any] = {
        "sep": separator,
        "dtype": str,
        "keep_default_na": False,
        "quoting": csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
    }
    try:
        names = column_names
        if names is None:
            names = pd.read_csv(text, header=None, nrows=1, **settings).iloc[0].tolist()
            text.seek(0)
        _check_differ(names, path=path)
        frame = pd.read_csv(text, header=0 if column_names is None else None, names=column_names, **settings)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SecateurError(f"{path}: {one_line(error)}") from error
    # Pandas takes surplus fields at the start of every row as row labels, and shifts the columns.
    if not isinstance(frame.index, pd.RangeIndex):
        raise SecateurError(
            f"{path}: the rows have more fields than there are column names; quote fields that contain a separator"
        )
    return {str(name): frame[name].tolist() for name in frame.columns}


def _check_differ(names: Sequence[str], *, path: Path) -> None:
    """Refuse two columns of one name: pandas gives the second another. Nameless ones cannot be asked for anyway."""
    for name, times in Counter(names).items():
        if name and times > 1:
            raise SecateurError(f"{path}: {times} columns are called {name!r}; give each a name of its own")


def _read_jsonl(path: Path) -> dict[str, list[Any]]:
    # Not splitlines(): a text may contain U+2028 and other line ends that JSON does not escape.
    lines = enumerate(read_text(path).split("\n"), start=1)
    rows = []
    for number, text in lines:
        if text.strip():
            rows.append(parse_json(text, path=path, line=number))
            if not isinstance(rows[-1], dict):
                raise SecateurError(f"{path}: line {number}: not a JSON object; each line must be one row")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    try:
        return pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise SecateurError(f"{path}: not a readable Parquet file ({one_line(error)})") from error


_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_READERS: dict[str, Callable[[Path], dict[str, list[Any]]]] = {
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
TABLE_SUFFIXES = (*_SEPARATORS, *_READERS, ".json")
"""Suffixes of files that are not plain text."""


def one_line(error: Exception) -> str:
    """An exception's message without line breaks and final full stop."""
    return " ".join(str(error).split()).rstrip(".")
