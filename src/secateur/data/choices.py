"""Multiple-choice rows: an article, a question and a list of options, one of which is correct.

One schema serves RACE (Lai et al., arXiv 1704.04683), the hub and the user's own tables.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, List, Value

from secateur.data.reading import read_tables
from secateur.data.rows import id_of, part_of, required_text, title_of
from secateur.data.sources import SPLITS, Source
from secateur.data.tables import Columns, Table, check_columns, find_columns
from secateur.errors import SecateurError

COLUMNS = ("id", "title", "article", "question", "options", "answer")
FEATURES = Features(
    {
        **dict.fromkeys(("id", "title", "article", "question"), Value("string")),
        "options": List(Value("string")),
        "label": Value("int64"),
        "part": Value("string"),
    }
)
LETTERS = ascii_uppercase


def load_choices(source: Source) -> DatasetDict:
    """Read and check the splits ``train`` and ``test``, both with :data:`FEATURES`; labels are option indices from 0.

    Tables have the columns ``article``, ``question``, ``options`` and ``answer``. A row may hold several questions
    about its article, as lists of equal length. Options are a list of texts, or several columns given as ``a+b+c``,
    where trailing empty cells mean that there is no such option. The answers of a file are all letters (A, B ...), all
    numbers counting from 0, or all option texts.

    Questions that share an ``id``, such as that of their article, are named ID:1, ID:2 ...; those without an id are
    named FILE:ROW. Rows without a ``title`` are grouped by the beginning of their article.

    Raises:
        SecateurError: if the data cannot be read or a row is invalid; the message names file and row.
    """
    check_columns(source.columns, known=COLUMNS)
    tables = read_tables(source)
    return DatasetDict(
        {
            split: _dataset([row for table in tables[split] for row in _table_rows(table, source.columns)])
            for split in SPLITS
        }
    )


class _Row(NamedTuple):
    """A validated question; ``part`` says which of several tables it comes from."""

    id: str
    title: str
    article: str
    question: str
    options: list[str]
    label: int
    part: str


class _Question(NamedTuple):
    """A question as read; ``where`` identifies it in messages."""

    where: str
    id: str
    title: Any
    article: Any
    question: Any
    options: Any
    answer: Any


def _table_rows(table: Table, columns: Columns) -> Iterator[_Row]:
    questions = list(_questions(_with_joined_options(table, columns), columns))
    notation = _notation(map(_answer, questions))
    for found in questions:
        options = _options(found)
        article = required_text(found.article, "article", where=found.where)
        yield _Row(
            id=found.id,
            title=title_of(found.title, text=article),
            article=article,
            question=required_text(found.question, "question", where=found.where),
            options=options,
            label=_label(found, options, notation),
            part=part_of(table.name),
        )


# --- Reading a table ---


def _with_joined_options(table: Table, columns: Columns) -> Table:
    """The table with a list column added for each ``a+b`` that ``options`` may be read from, if all of it exists."""
    wanted = columns.get("options") or ()
    joined = {}
    for name in [wanted] if isinstance(wanted, str) else wanted:
        parts = name.split("+")
        if len(parts) > 1 and table.columns.keys() >= set(parts):
            joined[name] = [_until_empty(cells) for cells in zip(*map(table.columns.get, parts), strict=True)]
    return dataclasses.replace(table, columns={**table.columns, **joined})


def _until_empty(cells: Sequence[Any]) -> list[Any]:
    """The cells without trailing empty ones."""
    filled = [number for number, cell in enumerate(cells, start=1) if cell not in (None, "")]
    return list(cells[: max(filled, default=0)])


def _questions(table: Table, columns: Columns) -> Iterator[_Question]:
    found = find_columns(table, columns, names=COLUMNS, required=COLUMNS[2:])
    blank: list[Any] = [None] * len(found["question"])
    values = [found.get(name, blank) for name in COLUMNS]
    for number, (row_id, title, article, *asked) in enumerate(zip(*values, strict=True), start=1):
        name = id_of(row_id, table=table, number=number)
        for where, one in _unnested(asked, where=f"{table.origin}: row {number}"):
            yield _Question(where, name, title, article, *one)


def _unnested(asked: Sequence[Any], *, where: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """Location, and question, options and answer, of each question in a row."""
    if not isinstance(asked[0], list):
        yield where, asked
        return
    if not all(isinstance(each, list) and len(each) == len(asked[0]) for each in asked):
        sizes = (len(each) if isinstance(each, list) else "not a list" for each in asked)
        counts = ", ".join(f"{name}: {size}" for name, size in zip(COLUMNS[3:], sizes, strict=True))
        raise SecateurError(f"{where}: each of its questions needs one list of options and one answer ({counts})")
    for number, one in enumerate(zip(*asked, strict=True), start=1):
        yield f"{where}, question {number}", one


# --- Checks on every question ---


def _options(found: _Question) -> list[str]:
    options = found.options
    if not isinstance(options, list):
        raise SecateurError(
            f"{found.where}: the options are {options!r}, but a list is needed; "
            "dataset.columns.options=A+B+C reads them from several columns"
        )
    if not 2 <= len(options) <= len(LETTERS):
        raise SecateurError(f"{found.where}: the number of options is {len(options)}, it must be 2 to {len(LETTERS)}")
    return [
        required_text(option, f"option {letter}", where=found.where)
        for letter, option in zip(LETTERS, options, strict=False)
    ]


def _answer(found: _Question) -> str:
    if found.answer in (None, ""):
        raise SecateurError(f"{found.where}: no answer; fill it in or remove the row (test sets often have none)")
    return str(found.answer)


def _notation(answers: Iterable[str]) -> str:
    """How a table's answers are written; decided by all of them, because an option's text may itself be 2 or A."""
    answers = set(answers)
    if all(answer in LETTERS and len(answer) == 1 for answer in answers):
        return "letters"
    return "numbers" if all(answer.isdecimal() for answer in answers) else "texts"


def _label(found: _Question, options: Sequence[str], notation: str) -> int:
    answer = _answer(found)
    if notation == "texts":
        if answer in options:
            return options.index(answer)
        raise SecateurError(
            f"{found.where}: the answer {answer!r} is not one of its options; the answers of a file must all be "
            "letters, all numbers from 0, or all option texts"
        )
    label = LETTERS.index(answer) if notation == "letters" else int(answer)
    if label >= len(options):
        last = LETTERS[len(options) - 1] if notation == "letters" else len(options) - 1
        raise SecateurError(f"{found.where}: the answer {answer} is beyond its {len(options)} options, up to {last}")
    return label


def _dataset(rows: Sequence[_Row]) -> Dataset:
    columns = {name: [getattr(row, name) for row in rows] for name in FEATURES}
    columns["id"] = _numbered(columns["id"])
    return Dataset(pa.Table.from_pydict(columns, schema=FEATURES.arrow_schema))


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a running number appended to each that occurs more than once."""
    counts, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name}:{seen[name]}" if counts[name] > 1 else name)
    return numbered
