"""The jobs of a multirun before they are handed to anyone: where each will lie, and whether it has to run at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from secateur.configuration.checks import checked, checked_log
from secateur.errors import SecateurError
from secateur.runs.run_folder import Alone, discard
from secateur.sweeps.objectives import objective_value
from secateur.sweeps.outcomes import earlier_failure, is_done, record_in


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job.

    Attributes:
        number: among the jobs of the multirun, from 0.
        overrides: what distinguishes it, as Hydra has them.
        folder: its run folder.
        force: whether it is to start over.
        settled: what it comes to where it need not run: it is finished, refused, or failed before.
    """

    number: int
    overrides: list[str]
    folder: Path
    force: bool = False
    settled: JobReturn | None = None

    def returning(self, value: Any, status: JobStatus) -> JobReturn:
        """What Hydra is told of a job that did not tell itself."""
        where = {"hydra": {"runtime": {"output_dir": str(self.folder)}}}
        returned = JobReturn(overrides=self.overrides, hydra_cfg=OmegaConf.create(where))
        returned.status, returned.return_value = status, value
        return returned

    def failing(self, error: Exception | str) -> JobReturn:
        """The same, with an error."""
        error = SecateurError(error) if isinstance(error, str) else error
        return self.returning(error, JobStatus.FAILED)


def planned(
    context: HydraContext, config: DictConfig, job_overrides: Sequence[Sequence[str]], *, first: int
) -> Iterator[Job]:
    """Each job of a multirun, its config composed and checked as on the machine where it will run.

    Args:
        config: the multirun's own.
        job_overrides: of each job.
        first: the number of the first.
    """
    setup_globals()
    for number, overrides in enumerate(job_overrides, first):
        composed = context.config_loader.load_sweep_config(config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        folder = Path(composed.hydra.sweep.dir) / composed.hydra.sweep.subdir
        with open_dict(composed):
            del composed["hydra"]
        yield _with_outcome(Job(number=number, overrides=list(overrides), folder=folder), composed)


def clear(jobs: Iterable[Job]) -> None:
    """Forget what forced jobs left earlier: here and once, so that one that is interrupted and begun again goes on.

    Raises:
        SecateurError: if a process works on one of them.
    """
    for job in jobs:
        if job.force and job.folder.is_dir():
            with Alone(job.folder):
                discard(job.folder)


def _with_outcome(job: Job, composed: DictConfig) -> Job:
    """The job with what is known of it before it runs."""
    try:
        config = checked(composed)
        checked_log(config.logger)  # the environment that it is run in is this one's
    except Exception as error:
        return replace(job, settled=job.failing(error))
    record = record_in(job.folder)
    if failure := earlier_failure(config, record):
        return replace(job, settled=job.failing(failure))
    if is_done(config, record):
        assert record is not None
        return replace(job, settled=job.returning(objective_value(config, record), JobStatus.COMPLETED))
    return replace(job, force=config.force)
