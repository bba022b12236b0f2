"""Rows for classification and regression: one text or a pair of texts, and a label.

One schema serves GLUE's files (Wang et al., arXiv 1804.07461), the hub and the user's own tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from secateur.data.reading import read_tables
from secateur.data.rows import id_of, part_of, required_text, unique_ids
from secateur.data.sources import SPLITS, Source
from secateur.data.tables import Table, check_columns, find_columns
from secateur.errors import SecateurError

COLUMNS = ("id", "title", "text", "text_pair", "label")


class LabelledRow(NamedTuple):
    """A row as read; ``where`` identifies it in messages, ``part`` says which of several tables it comes from."""

    where: str
    id: str
    title: str
    text: str
    text_pair: str
    label: Any
    part: str


def load_classes(source: Source, *, labels: Sequence[str] | None) -> DatasetDict:
    """Read and check the splits ``train`` and ``test``; labels become class indices.

    Tables have the columns ``text``, ``label`` and, for pairs, ``text_pair``, which may be empty (as in two rows of
    QQP); a ``title`` groups rows that must stay together when ``val`` is split off (by default, rows with equal
    ``text``).

    Args:
        source: where the rows come from.
        labels: the classes in order. A label is one of these names or, unless the names are numbers themselves, a
            truth value or an index. None takes the names from the training data, in alphabetical order (in numerical
            order if all are whole numbers).

    Raises:
        SecateurError: if the data cannot be read or a row is invalid; the message names file and row.
    """
    rows = _read(source)
    names = list(labels) if labels is not None else _names(rows["train"])
    if len(names) < 2:
        raise SecateurError(f"dataset {source.name}: a single label ({', '.join(names)}); at least two are needed")
    index = {name: number for number, name in enumerate(names)}
    features = _features(ClassLabel(names=names))
    return DatasetDict(
        {split: _dataset(rows[split], [_class(row, index) for row in rows[split]], features) for split in SPLITS}
    )


def load_values(source: Source) -> DatasetDict:
    """Like :func:`load_classes`, for labels that are numbers.

    Raises:
        SecateurError: likewise.
    """
    rows = _read(source)
    features = _features(Value("float32"))
    return DatasetDict(
        {split: _dataset(rows[split], [_number(row) for row in rows[split]], features) for split in SPLITS}
    )


def _features(label: ClassLabel | Value) -> Features:
    return Features({**dict.fromkeys(("id", "title", "text", "text_pair", "part"), Value("string")), "label": label})


def _read(source: Source) -> dict[str, list[LabelledRow]]:
    check_columns(source.columns, known=COLUMNS)
    tables = read_tables(source)
    return {
        split: list(unique_ids(row for table in tables[split] for row in _table_rows(table, source)))
        for split in SPLITS
    }


def _table_rows(table: Table, source: Source) -> Iterator[LabelledRow]:
    found = find_columns(table, source.columns, names=COLUMNS, required=("text", "label"))
    size = len(found["text"])
    blank: list[Any] = [None] * size
    columns = [found.get(name, blank) for name in COLUMNS]
    for number, (row_id, title, text, text_pair, label) in enumerate(zip(*columns, strict=True), start=1):
        where = f"{table.origin}: row {number}"
        first = required_text(text, "text", where=where)
        alone = text_pair == "" or "text_pair" not in found
        yield LabelledRow(
            where=where,
            id=id_of(row_id, table=table, number=number),
            title=first if title in (None, "") else str(title),
            text=first,
            text_pair="" if alone else required_text(text_pair, "text_pair", where=where),
            label=label,
            part=part_of(table.name),
        )


def _names(rows: Sequence[LabelledRow]) -> list[str]:
    names = {_name(row) for row in rows}
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def _name(row: LabelledRow) -> str:
    if row.label in (None, ""):
        raise SecateurError(f"{row.where}: no label; fill it in or remove the row (test sets often have none)")
    return str(row.label)


def _class(row: LabelledRow, index: dict[str, int]) -> int:
    name = _name(row)
    number = str(int(row.label)) if isinstance(row.label, bool) else name
    for known in (name, number):
        if known in index:
            return index[known]
    # If a class is called "1", a "0" that is not a class must not be taken for the first one.
    if number.isdecimal() and int(number) < len(index) and not any(map(str.isdecimal, index)):
        return int(number)
    raise SecateurError(
        f"{row.where}: the label {name!r} is not one of {', '.join(index)}; list all labels in dataset.task.labels"
    )


def _number(row: LabelledRow) -> float:
    name = _name(row)
    try:
        number = float(name)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SecateurError(f"{row.where}: the label {row.label!r} is not a finite number; regression needs one")
    return number


def _dataset(rows: Sequence[LabelledRow], labels: Sequence[float], features: Features) -> Dataset:
    columns = {name: [getattr(row, name) for row in rows] for name in features if name != "label"}
    return Dataset(pa.Table.from_pydict({**columns, "label": labels}, schema=features.arrow_schema))
