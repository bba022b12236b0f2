"""Tables as columns of plain values, whatever they mean: from files, the hub or a generator."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hydra.utils import get_method

from secateur.data.sources import Source
from secateur.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of one length.

    Attributes:
        origin: the place, for messages: a file's path, or the hub's name and split.
        name: its short form, for row ids: the file's name, or the split.
        columns: column name -> values. From CSV and TSV all of them are text.
    """

    origin: str
    name: str
    columns: Mapping[str, list[Any]]


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file, without a byte order mark, line ends as they are.

    Raises:
        SecateurError: if it cannot be read or is not UTF-8, naming the line.
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


def parse_json(text: str, *, path: Path, line: int | None = None) -> Any:
    """Parse a document, or the given line of a file.

    Raises:
        SecateurError: if it is no JSON or cut short, naming file, line and column.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise SecateurError(f"{path}: {where}: not valid JSON, or cut short ({error.msg})") from error


def read_table(path: Path) -> Table:
    """Read a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file.

    CSV and TSV have a header row, and fields may be quoted with ``"``; no text stands for a missing value (an
    answer may well read "None"), an empty field is an empty text.

    Raises:
        SecateurError: if the file cannot be read, naming it and, where there is one, the row.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SecateurError(f"{path}: rows are read from {', '.join(_READERS)} files, not from {path.suffix!r}")
    return Table(origin=str(path), name=path.name, columns=reader(path))


def load_tables(source: Source) -> dict[str, Table]:
    """The splits ``train`` and ``test`` of a source without local files: from its generator, or else the hub.

    Raises:
        SecateurError: if the hub cannot be reached, or data set, split or generator do not exist.
    """
    if source.generator is not None:
        splits, origin = _generate(source.generator), source.name
        names = {"train": "train", "test": "test"}
    else:
        splits, origin = _download(source), f"hub data set {source.hub}"
        names = {"train": "train", "test": source.hub_test_split}
    return {ours: _from_dataset(splits, theirs, origin=origin) for ours, theirs in names.items()}


def _read_csv(path: Path, separator: str = ",") -> dict[str, list[Any]]:
    text = io.StringIO(read_text(path), newline="")
    try:
        frame = pd.read_csv(text, sep=separator, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SecateurError(f"{path}: {_one_line(error)}") from error
    # Pandas takes surplus fields at the beginning of every row for row labels, and shifts the columns.
    if not isinstance(frame.index, pd.RangeIndex):
        raise SecateurError(f"{path}: the rows have more fields than the header; quote fields that hold a separator")
    return {str(name): frame[name].tolist() for name in frame.columns}


def _read_tsv(path: Path) -> dict[str, list[Any]]:
    return _read_csv(path, separator="\t")


def _read_jsonl(path: Path) -> dict[str, list[Any]]:
    # Not splitlines(): a text may hold U+2028 and other line ends that JSON leaves as they are.
    lines = enumerate(read_text(path).split("\n"), start=1)
    rows = []
    for number, text in lines:
        if text.strip():
            rows.append(parse_json(text, path=path, line=number))
            if not isinstance(rows[-1], dict):
                raise SecateurError(f"{path}: line {number}: not a JSON object; each line holds one row")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    try:
        return pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise SecateurError(f"{path}: not a readable Parquet file ({_one_line(error)})") from error


_READERS: dict[str, Callable[[Path], dict[str, list[Any]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _generate(generator: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = dict(generator)
    target = settings.pop("_target_", None)
    try:
        function = get_method(str(target))
    except Exception as error:  # Hydra's own wrapper: an error of many lines, whatever went wrong
        raise SecateurError(f"dataset.generator._target_={target}: {_one_line(error)}") from error
    return function(**settings)


def _download(source: Source) -> Mapping[str, Any]:
    remedy = "dataset.data_dir=FOLDER reads it from files"
    try:
        return datasets.load_dataset(source.hub, source.hub_config, revision=source.revision)
    except ConnectionError as error:
        raise SecateurError(f"dataset.hub={source.hub}: the hub could not be reached; {remedy}") from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise SecateurError(f"dataset.hub={source.hub}: {_one_line(error)}; {remedy}") from error


def _from_dataset(splits: Mapping[str, Any], name: str, *, origin: str) -> Table:
    if name not in splits:
        raise SecateurError(
            f"{origin} has no split {name!r}, only {', '.join(splits)}; dataset.hub_test_split names the one to test on"
        )
    split = splits[name]
    columns = {column: split[column][:] for column in split.column_names}
    return Table(origin=f"{origin}, split {name}", name=name, columns=columns)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
