"""``secateur-report``: the table and the pictures of the runs below one or more folders."""

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

_WIDTH = 100  # minimum: a narrower terminal wraps lines, which is better than truncated figures
_LISTED = 20  # how many runs of one status the terminal lists
_FILES = {
    "csv": "report.csv",
    "markdown": "report.md",
    "html": "report.html",
    "stages": "stages.csv",
    "frontier": "frontier.png",
    "sparsity": "sparsity.png",
}
_TOO_MANY = f"or models and data sets would need more than {MOST_PANELS} panels; the page shows them"
_LACKING = {
    "frontier": f"no run has both a score and a speed-up, {_TOO_MANY}",
    "sparsity": f"no run with a score has removed or zero weights in its encoder, {_TOO_MANY}",
}
_DESCRIPTION = """\
Compare the runs below one or more folders: a table with mean and standard deviation over
seeds, the same as Markdown and, with all scores and timings, as CSV; a page to open in a
browser, with the frontier of score against speed, size and FLOPs, filters, and each run's
config and record; and pictures of score against speed-up and against the fraction removed. Only
records, pictures and the sweeps' own configs are read; no model is loaded and nothing is measured."""
_EPILOG = """\
examples:
  secateur-report outputs/sweeps/NAME
  secateur-report outputs/runs outputs/sweeps --html all.html --csv all.csv

Runs that differ only in their seed form one row. If models compressed by another run were fine-tuned
(method=finetune model.checkpoint=<run>/model), a second table shows the tasks side by side, with one
row for each way of compressing, and that run's scores if its record is read too. Runs that failed,
are unfinished or cannot be read, and jobs of a sweep that left no record, are listed below the
tables. Exit code: 0, or 1 if there was no record or a file could not be written."""


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
    """Disable garbage collection: all records are kept until the end, and scanning 10,000 of them doubles the time."""
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
            _say(console, f"  {status:10} and {len(alike) - _LISTED} more, listed in the page and the Markdown")


def _write(file: Path, write: Callable[[Path], Any]) -> Any:
    try:
        return write(file)
    except OSError as error:
        raise SecateurError(f"{file}: cannot be written ({error.strerror}); choose another file") from error


def _complain(line: str) -> None:
    sys.stderr.write(f"secateur-report: {line}\n")


def _say(console: Console, line: str) -> None:
    """Print one line verbatim and unwrapped: folder names may contain what rich takes for markup."""
    console.print(Text(line), soft_wrap=True)
