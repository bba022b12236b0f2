"""CSV files: lines with any columns under one header, written atomically, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from secateur.disk import write_whole
from secateur.report.rows import Stat


def write_lines(lines: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write ``lines``; columns that a line lacks are left empty."""
    lines = list(lines)
    header = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_harmless(name) for name in header])
    writer.writerows([_harmless(line.get(name, "")) for name in header] for line in lines)


def save_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write ``lines`` to a file."""
    file = io.StringIO()
    write_lines(lines, file)
    write_whole(path, file.getvalue())


def mean_and_std(name: str, stat: Stat | None) -> dict[str, float | None]:
    """The two columns of a figure."""
    return {f"{name}_mean": stat and stat.mean, f"{name}_std": stat and stat.std}


def _harmless(cell: Any) -> Any:
    """Prefix text that a spreadsheet would run as a formula with an apostrophe; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
