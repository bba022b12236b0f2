"""The tables as GitHub-flavoured Markdown: names from records are shown verbatim, whatever they contain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from secateur.disk import write_whole
from secateur.report.contents import Contents
from secateur.report.stages_table import stage_notes, stage_sections
from secateur.report.table import caption, notes, sections
from secateur.report.unfinished import Unfinished


def save_markdown(contents: Contents, path: Path) -> None:
    """Write the report."""
    write_whole(path, "\n\n".join(_parts(contents)) + "\n")


def _parts(contents: Contents) -> Iterator[str]:
    yield "# Report"
    for section in sections(contents.rows):
        yield f"## {_plain(section.title)}"
        yield from map(_table, section.tables)
    yield from map(_plain, notes(contents.rows))
    yield "\n".join(f"* {_plain(line)}" for line in caption(contents.rows))
    for title, tables in stage_sections(contents.stages):
        yield f"## {_plain(title)}"
        yield from map(_table, tables)
    if contents.stages:
        yield "\n".join(f"* {_plain(note)}" for note in stage_notes(contents.stages))
    if contents.unfinished:
        yield "## Not in the table"
        columns = zip(Unfinished._fields, zip(*contents.unfinished, strict=True), strict=True)
        yield _table({name: list(cells) for name, cells in columns})


def _table(columns: Mapping[str, Sequence[str]]) -> str:
    lines = [_line(columns), "|---" * len(columns) + "|"]
    return "\n".join([*lines, *(_line(row) for row in zip(*columns.values(), strict=True))])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_plain(cell.strip()) for cell in cells)} |"


def _plain(text: str) -> str:
    """``text`` on one line, with a backslash before whatever Markdown or HTML would read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&$])", r"\\\1", " ".join(text.split()))
