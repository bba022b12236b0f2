"""Rows for extractive question answering: one schema for SQuAD's files, the hub and the user's own tables.

SQuAD v1.1: Rajpurkar et al. 2016 (arXiv 1606.05250); v2.0, with unanswerable questions: Rajpurkar et al. 2018
(arXiv 1806.03822). A question without answers is unanswerable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, List, Value

from secateur.data.reading import load_tables
from secateur.data.rows import id_of, title_of, unique_ids
from secateur.data.sources import SPLITS, Source, resolve_files
from secateur.data.tables import (
    Columns,
    Table,
    check_columns,
    find_columns,
    missing_column,
    parse_json,
    read_table,
    read_text,
)
from secateur.errors import SecateurError

FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int64"))},
    }
)
COLUMNS = ("id", "title", "context", "question", "answers", "answer", "answer_start")


def load_rows(source: Source, *, unanswerable: bool = True) -> DatasetDict:
    """Read and check the splits ``train`` and ``test``, both with :data:`FEATURES`; offsets count characters.

    Local files are SQuAD's JSON (``.json``), or tables (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) with the columns
    ``context``, ``question`` and either ``answers`` (nested as in SQuAD) or ``answer`` with an optional
    ``answer_start``; without a start, the answer's first occurrence counts. Rows without an ``id`` are named FILE:ROW;
    rows without a ``title`` get the beginning of their context.

    Args:
        unanswerable: whether questions may have no answer, which SQuAD 1.1 cannot score; this includes ``train``, from
            which ``val`` is split off.

    Raises:
        SecateurError: if the data cannot be read or a row is invalid; the message names file and row.
    """
    check_columns(source.columns, known=COLUMNS)
    files = resolve_files(source)
    rows: dict[str, Iterable[_Row]]
    if files is None:
        tables = load_tables(source)
        origins = {split: ", ".join(table.origin for table in tables[split]) for split in SPLITS}
        rows = {
            split: chain.from_iterable(_table_rows(table, source.columns) for table in tables[split])
            for split in SPLITS
        }
    else:
        origins = {split: ", ".join(map(str, files[split])) for split in SPLITS}
        rows = {split: _file_rows(files[split], source) for split in SPLITS}
    if not unanswerable:
        rows = {split: _answerable(rows[split]) for split in SPLITS}
    return DatasetDict({split: _dataset(rows[split], origin=origins[split]) for split in SPLITS})


class _Row(NamedTuple):
    """A row as read; ``where`` identifies it in messages, and an answer's start may be None."""

    where: str
    id: str
    title: str | None
    context: Any
    question: Any
    answers: list[tuple[Any, Any]]


def _file_rows(paths: Iterable[Path], source: Source) -> Iterator[_Row]:
    for path in paths:
        if path.suffix.lower() == ".json":
            yield from _squad_rows(path)
        else:
            table = read_table(path, column_names=source.column_names, quoting=source.quoting)
            yield from _table_rows(table, source.columns)


# --- SQuAD's JSON: data > paragraphs > qas > answers ---


def _squad_rows(path: Path) -> Iterator[_Row]:
    document = parse_json(read_text(path), path=path)
    for number, article in enumerate(_member(document, "data", list, where=str(path))):
        where = f"{path}: data[{number}]"
        for paragraph in _member(article, "paragraphs", list, where=where):
            context = _member(paragraph, "context", str, where=where)
            for qa in _member(paragraph, "qas", list, where=where):
                yield _squad_row(qa, path=path, where=where, title=article.get("title"), context=context)


def _squad_row(qa: dict[str, Any], *, path: Path, where: str, title: str | None, context: str) -> _Row:
    row_id = str(_member(qa, "id", (str, int), where=where))
    where = f"{path}: question {row_id}"
    question = _member(qa, "question", str, where=where)
    given = [] if qa.get("is_impossible") else _member(qa, "answers", list, where=where)
    answers = [
        (_member(answer, "text", str, where=where), _member(answer, "answer_start", int, where=where))
        for answer in given
    ]
    return _Row(where=where, id=row_id, title=title, context=context, question=question, answers=answers)


def _member(node: Any, key: str, kind: type | tuple[type, ...], *, where: str) -> Any:
    if not isinstance(node, dict) or not isinstance(node.get(key), kind):
        raise SecateurError(
            f"{where}: not SQuAD's JSON: {key!r} is missing or of the wrong type; "
            "a file with one row per line is named .jsonl"
        )
    return node[key]


# --- Tables: one question per row ---


def _table_rows(table: Table, columns: Columns) -> Iterator[_Row]:
    found = _find_columns(table, columns)
    size = len(found["question"])
    blank: list[Any] = [None] * size
    ids, titles = found.get("id", blank), found.get("title", blank)
    for index in range(size):
        where = f"{table.origin}: row {index + 1}"
        yield _Row(
            where=where,
            id=id_of(ids[index], table=table, number=index + 1),
            title=titles[index],
            context=found["context"][index],
            question=found["question"][index],
            answers=_table_answers(found, index, where=where),
        )


def _find_columns(table: Table, columns: Columns) -> dict[str, list[Any]]:
    """Our column names -> values, for the columns that exist."""
    if columns.get("answer") and "answers" not in columns:
        columns = {**columns, "answers": None}  # the user has named the column with the answers
    found = find_columns(table, columns, names=COLUMNS, required=("context", "question"))
    if "answers" not in found and "answer" not in found:
        raise missing_column(table, "answer", [])
    return found


def _table_answers(found: Mapping[str, list[Any]], index: int, *, where: str) -> list[tuple[Any, Any]]:
    if "answers" not in found:
        starts = found.get("answer_start")
        return [(found["answer"][index], starts[index] if starts else None)]
    nested = found["answers"][index]
    if nested is None:
        return []
    if isinstance(nested, dict) and isinstance(nested.get("text"), list):
        texts = nested["text"]
        starts = nested.get("answer_start") or [None] * len(texts)
        if len(starts) == len(texts):
            return list(zip(texts, starts, strict=True))
    elif isinstance(nested, list) and all(isinstance(answer, dict) for answer in nested):
        return [(answer.get("text"), answer.get("answer_start")) for answer in nested]
    raise SecateurError(
        f"{where}: 'answers' should contain lists 'text' and 'answer_start' of equal length; "
        "for an answer in plain text set dataset.columns.answer"
    )


# --- Checks on every row ---


def _dataset(rows: Iterable[_Row], *, origin: str) -> Dataset:
    columns: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for row in unique_ids(rows):
        context, question = _required(row, "context"), _required(row, "question")
        columns["id"].append(row.id)
        columns["title"].append(title_of(_text(row, "title", row.title), text=context))
        columns["context"].append(context)
        columns["question"].append(question)
        columns["answers"].append(_answers(row, context))
    if not columns["id"]:
        raise SecateurError(f"{origin}: no questions in it; a split needs at least one")
    # Dataset.from_dict would visit every value once more, at five times the cost.
    return Dataset(pa.Table.from_pydict(columns, schema=FEATURES.arrow_schema))


def no_answer(where: str) -> SecateurError:
    """The error for a question without an answer in data that is scored as SQuAD 1.1."""
    return SecateurError(
        f"{where}: has no answer, as only SQuAD 2.0 allows; set dataset.task.version_2_with_negative=true, or remove "
        "the row"
    )


def _answerable(rows: Iterable[_Row]) -> Iterator[_Row]:
    for row in rows:
        if not any(_text(row, "answer", text) for text, _ in row.answers):
            raise no_answer(row.where)
        yield row


def _required(row: _Row, name: str) -> str:
    text = _text(row, name, getattr(row, name))
    if text is None:
        raise SecateurError(f"{row.where}: the {name} is empty; fill it in or remove the row")
    return text


def _text(row: _Row, name: str, value: Any) -> str | None:
    """The value as unchanged text, or None if it is missing or blank."""
    if isinstance(value, list | dict):
        raise SecateurError(f"{row.where}: the {name} is a {type(value).__name__}, but plain text is needed")
    return None if value is None or not str(value).strip() else str(value)


def _answers(row: _Row, context: str) -> dict[str, list[Any]]:
    given = [(_text(row, "answer", text), start) for text, start in row.answers]
    answers = [(text, _start(row, context, text=text, given=start)) for text, start in given if text is not None]
    return {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]}


def _start(row: _Row, context: str, *, text: str, given: Any) -> int:
    if given is None or given == "":
        start = context.find(text)
        if start < 0:
            raise SecateurError(f"{row.where}: the answer {text!r} does not occur in the context")
        return start
    start = _whole_number(row, given)
    found = context[start : start + len(text)] if start >= 0 else ""
    if found != text:
        raise SecateurError(
            f"{row.where}: at offset {start} the answer should read {text!r}, but the context has {found!r}; "
            "offsets count characters from 0"
        )
    return start


def _whole_number(row: _Row, value: Any) -> int:
    try:
        number = float(value)  # spreadsheets and pandas write 12.0 in a column with gaps
    except (TypeError, ValueError):
        number = float("nan")
    if not number.is_integer():
        raise SecateurError(f"{row.where}: answer_start={value!r} is not a whole number of characters")
    return int(number)
