"""The closing table of a multirun: finished jobs as rows of figures, and each failed job with its error."""

from __future__ import annotations

from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from rich.console import Console

from secateur.errors import SecateurError
from secateur.sweeps.outcomes import ERROR_FILE, Outcome, closing_table, outcomes_of


def text(*outcomes: Outcome, sweep: Path) -> str:
    console = Console(width=160, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(closing_table(outcomes, sweep=sweep))
    return capture.get()


def returned(folder: Path, status: JobStatus, value: object) -> JobReturn:
    job = JobReturn(hydra_cfg=OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}}}))
    job.status, job.return_value = status, value
    return job


def test_each_failed_job_has_a_row_with_its_error_and_where_the_traceback_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / ERROR_FILE).write_text("Traceback …")
    told = text(
        Outcome(folder=tmp_path / "one", error="phase recover: the loss is nan"),
        Outcome(folder=tmp_path / "two", error="[bold] sparsity=1.5: no markup"),
        sweep=tmp_path,
    )
    assert "phase recover: the loss is nan" in told
    assert ERROR_FILE in told
    assert "[bold] sparsity=1.5: no markup" in told
    assert "2 jobs: 0 finished, 2 failed" in told


def test_outcomes_are_read_off_what_launchers_return(tmp_path: Path) -> None:
    """Of an error the first line is told, of one without words its kind."""
    returns = [
        returned(tmp_path / "a", JobStatus.COMPLETED, None),
        returned(tmp_path / "b", JobStatus.FAILED, SecateurError("first\nsecond")),
        returned(tmp_path / "c", JobStatus.FAILED, MemoryError()),
    ]
    assert [outcome.error for outcome in outcomes_of(returns)] == [None, "first", "MemoryError"]
