"""The outcomes of a multirun's jobs: read from their folders beforehand, shown in one table at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from secateur.errors import SecateurError

if TYPE_CHECKING:
    from secateur.configuration.schema import Config
    from secateur.record import Record

ERROR_FILE = "error.txt"
_WIDTH = 100  # minimum, as for all tables: wrapped lines are better than truncated figures


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One job: its run folder, and the first line of its error if it failed."""

    folder: Path
    error: str | None = None


def is_done(config: Config, record: Record | None) -> bool:
    """Whether the run that left ``record`` has nothing left to do."""
    if record is None or record.status != "finished" or config.force:
        return False
    exported = config.export.name != "onnx" or record.onnx is not None
    return exported and (config.objective is None or record.validation is not None)


def earlier_failure(config: Config, record: Record | None) -> SecateurError | None:
    """Why a job of a multirun is not started again: it failed earlier, and no retry is requested; None otherwise."""
    if record is None or record.status != "failed" or config.force or config.retry == "failed":
        return None
    return SecateurError(f"failed earlier: {record.error}; set retry=failed to try it again")


def record_in(folder: Path) -> Record | None:
    """The record of a run folder; None if it cannot be read, for which the run itself will report the reason."""
    from secateur.record import read_record

    try:
        return read_record(folder)
    except SecateurError:
        return None


def outcomes_of(returns: Iterable[JobReturn]) -> list[Outcome]:
    """The outcome of each job, from what Hydra's launchers return."""
    return [
        Outcome(folder=Path(job.hydra_cfg.hydra.runtime.output_dir), error=_first_line(job))
        for job in returns
        if job.hydra_cfg is not None
    ]


def show_outcomes(outcomes: Sequence[Outcome], *, sweep: Path) -> None:
    """Print the closing table of a multirun."""
    console = Console(highlight=False, width=max(Console().width, _WIDTH))
    console.print(closing_table(outcomes, sweep=sweep))
    sys.stdout.flush()


def closing_table(outcomes: Sequence[Outcome], *, sweep: Path) -> RenderableType:
    """The finished jobs with seeds combined, then a row for each failed job, then the number of both."""
    from secateur.report.table import render

    failed = [outcome for outcome in outcomes if outcome.error is not None]
    records = [record_in(outcome.folder) for outcome in outcomes if outcome.error is None]
    finished = [record for record in records if record is not None and record.status == "finished"]
    parts: list[RenderableType] = [render(finished)] if finished else []
    if failed:
        parts.append(_failed_table(failed))
    count = f"{len(outcomes)} jobs: {len(outcomes) - len(failed)} finished, {len(failed)} failed"
    again = f"; this table again: secateur-report {sweep}" if finished else ""
    return Group(*parts, Text(count + again))


def _failed_table(failed: Sequence[Outcome]) -> Table:
    table = Table(title="failed", title_justify="left", pad_edge=False, show_edge=False)
    table.add_column("job", overflow="fold", ratio=1)
    table.add_column("error", overflow="fold", ratio=2)
    for outcome in failed:
        traceback = outcome.folder / ERROR_FILE
        where = f"\n{traceback}" if traceback.is_file() else ""
        table.add_row(Text(outcome.folder.name), Text(f"{outcome.error}{where}"))
    return table


def _first_line(job: JobReturn) -> str | None:
    if job.status == JobStatus.COMPLETED:
        return None
    error = job._return_value  # the property would raise it
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
