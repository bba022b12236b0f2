"""``secateur-report``: the table and the pictures of the runs below one folder or several."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from secateur.errors import SecateurError
from secateur.record import Record, find_records, read_record
from secateur.report import frontier, sparsity, stages, stages_table, table
from secateur.report.rows import FRACTIONS, SIZES, Row, group
from secateur.report.sheet import mean_and_std, save_lines, write_lines

_WIDTH = 100  # at least: a narrower terminal folds lines, which is better than figures cut short
_DESCRIPTION = """\
Compare the runs below one or more folders: a table with mean and standard deviation over
seeds, the same as CSV with all scores and timings, and pictures of score against speed-up
and of score against what was removed. Only the runs' record.json files are read; no model
is loaded and nothing is measured."""
_EPILOG = """\
examples:
  secateur-report outputs/sweeps/NAME
  secateur-report outputs/runs outputs/sweeps --csv all.csv --frontier all.png

Runs that differ in nothing but their seed make one row. Where models that another run compressed
were fine-tuned (method=finetune model.checkpoint=<run>/model), a second table has the tasks side by
side in one row for each way of compressing, with the other run's scores if it is read too.
Runs that are not finished are listed below the tables. Exit code: 0, or 1 where there was no record
or no place to write."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; ``arguments`` are those of the process unless given."""
    options = _parser().parse_args(arguments)
    try:
        _report(options)
    except SecateurError as error:
        _complain(str(error))
        return 1
    return 0


def read(folders: Iterable[Path], *, warn: Callable[[str], None]) -> list[Record]:
    """Every run at or below ``folders``, once, however often it is found.

    What is damaged or follows another schema is left out, and ``warn`` gets one line about it. A run that
    lies in several places under one name (a sweep and its copy) counts once too, finished before unfinished.

    Raises:
        SecateurError: if a folder is missing, or no record is left.
    """
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise SecateurError(f"{folder}: no such folder; name one that runs were written to, such as outputs/runs")
    paths = dict.fromkeys(path.resolve() for folder in folders for path in find_records(folder))
    found = {path: record for path in paths if (record := _read_or_warn(path, warn)) is not None}
    if not found:
        raise SecateurError(f"{', '.join(map(str, folders))}: no record of a run at or below; start one with secateur")
    return _once(found, warn)


def write_csv(rows: Sequence[Row], file: TextIO) -> None:
    """Write one line for each row, with every score and every latency setting in columns of their own."""
    write_lines(map(_csv_line, rows), file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-report",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="a sweep's folder, or a single run's")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="default: report.csv in the first FOLDER")
    parser.add_argument("--stages", metavar="FILE", type=Path, help="default: stages.csv in the first FOLDER")
    parser.add_argument("--frontier", metavar="FILE", type=Path, help="default: frontier.png in the first FOLDER")
    parser.add_argument("--sparsity", metavar="FILE", type=Path, help="default: sparsity.png in the first FOLDER")
    return parser


def _report(options: argparse.Namespace) -> None:
    records = read(options.folders, warn=lambda line: _complain(f"warning: {line}"))
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    rows, two_stages = group(records), stages.stage_rows(records)
    if rows:
        console.print(table.render_rows(rows))
    if two_stages:
        console.print(stages_table.render_stages(two_stages))
    _list_unfinished(records, console)
    if not rows:
        _say(console, "no finished run yet: no table and no picture were written")
        return
    first = options.folders[0]
    csv_file = options.csv or first / "report.csv"
    _write(csv_file, save_lines, map(_csv_line, rows), csv_file)
    _say(console, f"table: {csv_file}")
    if two_stages:
        stages_file = options.stages or first / "stages.csv"
        _write(stages_file, save_lines, stages_table.stage_lines(two_stages), stages_file)
        _say(console, f"stages: {stages_file}")
    for name, file, draw, lacking in (
        ("frontier", options.frontier, frontier.draw, "no run has both score and speed-up"),
        ("sparsity", options.sparsity, sparsity.draw, "no run with a score has lost weights of its encoder"),
    ):
        path = file or first / f"{name}.png"
        drawn = _write(path, draw, rows, path)
        _say(console, f"{name}: {path}" if drawn else f"{name}: not drawn, {lacking}")


def _read_or_warn(path: Path, warn: Callable[[str], None]) -> Record | None:
    try:
        return read_record(path)
    except SecateurError as error:
        warn(str(error))
    except UnicodeDecodeError:
        warn(f"{path}: not a record: the file is not UTF-8 text")
    return None


def _once(found: dict[Path, Record], warn: Callable[[str], None]) -> list[Record]:
    kept: dict[tuple[str, int], tuple[Path, Record]] = {}
    copies: list[tuple[Path, Path]] = []
    for path, record in sorted(found.items(), key=lambda item: item[1].status != "finished"):
        first, _ = kept.setdefault((record.name, record.seed), (path, record))
        if first != path:
            copies.append((path, first))
    if copies:
        (copy, first), more = copies[0], len(copies) - 1
        and_more = f" (and {more} more such)" if more else ""
        warn(f"{copy}: the same run as {first}, counted once{and_more}")
    return [record for _, record in kept.values()]


def _list_unfinished(records: Iterable[Record], console: Console) -> None:
    unfinished = sorted((r for r in records if r.status != "finished"), key=lambda r: (r.status, r.name))
    if unfinished:
        _say(console, "not in the table:")
    for record in unfinished:
        reason = f": {_gist(record.error)}" if record.error else ""
        _say(console, f"  {record.status:8} {record.name}{reason}")


def _gist(error: str) -> str:
    """The line of an error that says what went wrong: a traceback's last, any other message's first."""
    lines = error.strip().splitlines() or [""]
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _write(file: Path, write: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return write(*arguments)
    except OSError as error:
        raise SecateurError(f"{file}: cannot be written ({error.strerror}); name another file") from error


def _csv_line(row: Row) -> dict[str, Any]:
    names = ("method", "model", "dataset", "distillation", "sparsity")
    line: dict[str, Any] = {name: getattr(row, name) for name in names}
    seed = "as the run's" if row.predecessor_seed is None else row.predecessor_seed
    line |= {"predecessor_seed": seed, "differs_in": "; ".join(row.differs), "n": row.n, "metric": row.metric}
    line |= mean_and_std("score", row.score) | mean_and_std("speedup", row.speedup)
    line |= {"speedup_setting": str(row.headline or ""), "device": "; ".join(row.devices)}
    line["beside_others"] = row.beside_others
    for name in ("retention", *FRACTIONS, *SIZES):
        line |= mean_and_std(name, row.figures.get(name))
    line["flops_length"] = row.flops_length
    for name, stat in row.scores.items():
        line |= mean_and_std(f"score:{name}", stat)
    for setting, timing in row.timings.items():
        place = "" if setting.runtime == "pytorch" else f"{setting.runtime}_"
        where = f"{place}{setting.dtype}_batch{setting.batch_size}_length{setting.length}"
        for name, stat in zip(("speedup", "p50_ms", "p90_ms"), timing, strict=True):
            line |= mean_and_std(f"{name}:{where}", stat)
    return line


def _complain(line: str) -> None:
    sys.stderr.write(f"secateur-report: {line}\n")


def _say(console: Console, line: str) -> None:
    """One line, whole and as it is: folders may hold what rich takes for markup."""
    console.print(Text(line), soft_wrap=True)
