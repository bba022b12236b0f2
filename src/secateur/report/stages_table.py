"""The two-stage table: methods and sparsities down, tasks across, for a terminal, as columns, and as lines of a CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from secateur.record import FEW_ZEROS
from secateur.report.rows import Stat
from secateur.report.sheet import mean_and_std
from secateur.report.stages import StageRow
from secateur.report.table import NOTHING, label_of, marks_of, plus_minus, score_text, steady

WIDTH = 100
_METHOD = 20  # characters of a method's name before it is wrapped

_Column = tuple[str, list[str]]


def render_stages(rows: Sequence[StageRow]) -> Table:
    """The rows for a terminal of 100 columns: for each model and text, first the scores, then the percentage kept."""
    page = Table.grid()
    for title, members in _by_text(rows):
        page.add_row(Text(title, "bold"))
        own, labels = _own_columns(members), _labels(members, of=rows)
        for corner, columns in [
            *_fitting("method", own, _scores(members)),
            *_fitting("kept %", own[:1], _kept(members)),
        ]:
            page.add_row(_table(corner, labels, columns))
            page.add_row()
    *differing, caption = stage_notes(rows)
    for note in differing:
        page.add_row(Text(note))
    page.add_row(Text(caption, "dim"))
    return page


def stage_sections(rows: Sequence[StageRow]) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """For each model and text, its title and two tables of columns of any width: scores, and the percentage kept."""
    for title, members in _by_text(rows):
        own, labels = _own_columns(members), _labels(members, of=rows)
        tables = (("method", [*own, *_scores(members)]), ("kept %", [*own[:1], *_kept(members)]))
        yield title, [{header.strip(): cells for header, cells in [(corner, labels), *its]} for corner, its in tables]


def stage_notes(rows: Sequence[StageRow]) -> list[str]:
    """What the marks of look-alikes stand for, and lastly what the figures are."""
    differing = [f"{mark} {', '.join(differs)}" for differs, mark in marks_of(rows).items()]
    return [*differing, "mean ± standard deviation over seeds; kept % is of the dense model's score on the task"]


def stage_lines(rows: Sequence[StageRow]) -> Iterator[dict[str, Any]]:
    """A line for each row: each figure with its mean, standard deviation and, for tasks, the number of models."""
    for row in rows:
        line: dict[str, Any] = {
            name: getattr(row, name) for name in ("model", "text", "method", "distillation", "sparsity")
        }
        line["differs_in"] = "; ".join(row.differs)
        stats = {"zeroed": row.zeroed, "removed": row.removed, **row.text_scores}
        for task, cell in row.tasks.items():
            stats |= {f"score:{task}": cell.score, f"kept:{task}": cell.kept}
            line[f"n:{task}"] = cell.score.n
        for name, stat in stats.items():
            line |= mean_and_std(name, stat)
        yield line


def _by_text(rows: Sequence[StageRow]) -> Iterator[tuple[str, list[StageRow]]]:
    for (model, text), members in groupby(rows, lambda row: (row.model, row.text)):
        yield f"{model} compressed on {text}, then fine-tuned on each task", list(members)


def _labels(rows: Sequence[StageRow], *, of: Sequence[StageRow]) -> list[str]:
    """The label of each row's method, with its mark among all rows."""
    marks = marks_of(of)
    return [label_of(row, marks) for row in rows]


def _own_columns(rows: Sequence[StageRow]) -> list[_Column]:
    """What a row is, and what its model scored on text, where that is known of any."""
    texts: dict[str, Callable[[StageRow], str]] = {
        "sparsity": lambda row: NOTHING if row.sparsity is None else f"{row.sparsity:g}"
    }
    if any(_shows(row.zeroed) for row in rows):
        texts["zeroed"] = lambda row: steady(row.zeroed, decimals=2)
    if any(_shows(row.removed) for row in rows):
        texts["removed"] = lambda row: steady(row.removed, decimals=2)
    texts |= {
        header: lambda row, name=name: score_text(row.text_scores.get(name))  # type: ignore[misc]
        for name, header in (("mlm_accuracy", " MLM"), ("nsp_accuracy", " NSP"))
        if any(name in row.text_scores for row in rows)
    }
    return [(header, [text(row) for row in rows]) for header, text in texts.items()]


def _scores(rows: Sequence[StageRow]) -> list[_Column]:
    """The scores on each task, in name order."""
    return [
        (f" {task}", [score_text(row.tasks[task].score if task in row.tasks else None) for row in rows])
        for task in _tasks(rows)
    ]


def _kept(rows: Sequence[StageRow]) -> list[_Column]:
    """The scores on each task as percentages of the dense model's."""
    return [
        (
            f" {task}",
            [plus_minus(row.tasks[task].kept if task in row.tasks else None, scale=100, decimals=1) for row in rows],
        )
        for task in _tasks(rows)
    ]


def _tasks(rows: Sequence[StageRow]) -> list[str]:
    return sorted({task for row in rows for task in row.tasks})


def _fitting(corner: str, own: Sequence[_Column], tasks: Sequence[_Column]) -> Iterator[tuple[str, list[_Column]]]:
    """The columns of a table, and of further tables for the tasks that do not fit, with at least one task each."""
    columns, least = [*own], len(own)
    for task in tasks:
        if len(columns) > least and sum(map(_width, [*columns, task])) > WIDTH - _METHOD:
            yield corner, columns
            columns, least = [own[0]], 1
        columns.append(task)
    yield corner, columns


def _width(column: _Column) -> int:
    header, cells = column
    return 1 + max(map(len, [header, *cells]))


def _table(corner: str, labels: Sequence[str], columns: Sequence[_Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    table.add_column(corner, overflow="fold", min_width=10, max_width=_METHOD)
    for header, cells in columns:
        table.add_column(Text(header), justify="right", no_wrap=True, width=max(map(len, [header, *cells])))
    for line in zip(labels, *(cells for _, cells in columns), strict=True):
        table.add_row(*map(Text, line))
    return table


def _shows(fraction: Stat | None) -> bool:
    return fraction is not None and fraction.mean >= FEW_ZEROS
