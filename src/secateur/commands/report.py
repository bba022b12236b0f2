"""``secateur-report``: the table and the pictures of the runs below one folder or several."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from secateur.errors import SecateurError
from secateur.report import frontier, sparsity, stages_table, table
from secateur.report.contents import Contents
from secateur.report.lines import row_lines
from secateur.report.markdown import save_markdown
from secateur.report.page.write import save_page
from secateur.report.panels import MOST_PANELS
from secateur.report.reading import read
from secateur.report.sheet import save_lines
from secateur.report.unfinished import Unfinished

_WIDTH = 100  # at least: a narrower terminal folds lines, which is better than figures cut short
_LISTED = 20  # runs of one status that the terminal names
_FILES = {
    "csv": "report.csv",
    "markdown": "report.md",
    "html": "report.html",
    "stages": "stages.csv",
    "frontier": "frontier.png",
    "sparsity": "sparsity.png",
}
_TOO_MANY = f"or models and data sets would make more than {MOST_PANELS} panels, and the page shows them"
_LACKING = {
    "frontier": f"no run has both score and speed-up, {_TOO_MANY}",
    "sparsity": f"no run with a score has lost weights of its encoder, or has zeros in it, {_TOO_MANY}",
}
_DESCRIPTION = """\
Compare the runs below one or more folders: a table with mean and standard deviation over
seeds, the same as Markdown and, with all scores and timings, as CSV; a page to open in a
browser, with the frontier of score against speed, size and FLOPs, filters, and each run's
config and record; and pictures of score against speed-up and against what was removed. Only
records, pictures and what sweeps asked for are read; no model is loaded and nothing is measured."""
_EPILOG = """\
examples:
  secateur-report outputs/sweeps/NAME
  secateur-report outputs/runs outputs/sweeps --html all.html --csv all.csv

Runs that differ in nothing but their seed make one row. Where models that another run compressed
were fine-tuned (method=finetune model.checkpoint=<run>/model), a second table has the tasks side by
side in one row for each way of compressing, with the other run's scores if it is read too.
Runs that failed, have not finished, cannot be read, or that a sweep asked for and that left nothing
are listed below the tables. Exit code: 0, or 1 where there was no record or no place to write."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; ``arguments`` are those of the process unless given."""
    options = _parser().parse_args(arguments)
    try:
        with _nothing_to_collect():
            _report(options)
    except SecateurError as error:
        _complain(str(error))
        return 1
    return 0


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """Records are kept until the end: looking for garbage among ten thousand of them takes half of all time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-report",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="a sweep's folder, or a single run's")
    for option, file in _FILES.items():
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=f"default: {file} in the first FOLDER")
    return parser


def _report(options: argparse.Namespace) -> None:
    found = read(options.folders, warn=lambda line: _complain(f"warning: {line}"))
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    contents = Contents.of(found, options.folders)
    rows = contents.rows
    if rows:
        console.print(table.render_rows(rows))
    if contents.stages:
        console.print(stages_table.render_stages(contents.stages))
    _list(contents.unfinished, console)
    if not rows:
        _say(console, "no finished run yet: nothing was written")
        return
    title = ", ".join(map(str, options.folders))
    files: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "table": ("csv", lambda path: save_lines(row_lines(rows), path)),
        "Markdown": ("markdown", lambda path: save_markdown(contents, path)),
        "page": ("html", lambda path: save_page(contents, title=title, path=path)),
        "stages": ("stages", lambda path: save_lines(stages_table.stage_lines(contents.stages), path)),
        "frontier": ("frontier", lambda path: frontier.draw(rows, path)),
        "sparsity": ("sparsity", lambda path: sparsity.draw(rows, path)),
    }
    if not contents.stages:
        del files["stages"]
    for name, (option, write) in files.items():
        path = getattr(options, option) or options.folders[0] / _FILES[option]
        _say(console, f"{name}: {path}" if _write(path, write) is not False else f"{name}: not drawn, {_LACKING[name]}")


def _list(left_out: Sequence[Unfinished], console: Console) -> None:
    if left_out:
        _say(console, "not in the table:")
    for status, members in groupby(left_out, lambda each: each.status):
        alike = list(members)
        for each in alike[:_LISTED]:
            _say(console, f"  {status:10} {each.name}{f': {each.reason}' if each.reason else ''}")
        if len(alike) > _LISTED:
            _say(console, f"  {status:10} and {len(alike) - _LISTED} more, which the page and the Markdown list")


def _write(file: Path, write: Callable[[Path], Any]) -> Any:
    try:
        return write(file)
    except OSError as error:
        raise SecateurError(f"{file}: cannot be written ({error.strerror}); name another file") from error


def _complain(line: str) -> None:
    sys.stderr.write(f"secateur-report: {line}\n")


def _say(console: Console, line: str) -> None:
    """One line, whole and as it is: folders may hold what rich takes for markup."""
    console.print(Text(line), soft_wrap=True)
