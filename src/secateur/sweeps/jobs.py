"""The jobs of a multirun before they are submitted: the folder of each, and whether it has to run at all."""

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
    """One job of a multirun.

    Attributes:
        number: its index among the jobs of the multirun, from 0.
        overrides: the Hydra overrides that distinguish it.
        folder: its run folder.
        force: whether it starts over.
        settled: its outcome if it need not run: it is finished, was refused, or failed earlier; None otherwise.
    """

    number: int
    overrides: list[str]
    folder: Path
    force: bool = False
    settled: JobReturn | None = None

    def returning(self, value: Any, status: JobStatus) -> JobReturn:
        """The result that Hydra gets for a job that did not return one itself."""
        where = {"hydra": {"runtime": {"output_dir": str(self.folder)}}}
        returned = JobReturn(overrides=self.overrides, hydra_cfg=OmegaConf.create(where))
        returned.status, returned.return_value = status, value
        return returned

    def failing(self, error: Exception | str) -> JobReturn:
        """The result that Hydra gets for a job that failed with ``error``."""
        error = SecateurError(error) if isinstance(error, str) else error
        return self.returning(error, JobStatus.FAILED)


def planned(
    context: HydraContext, config: DictConfig, job_overrides: Sequence[Sequence[str]], *, first: int
) -> Iterator[Job]:
    """Each job of a multirun, its config composed and checked as on the machine where it will run.

    Args:
        context: Hydra's, which composes the configs.
        config: the multirun's own config.
        job_overrides: the overrides of each job.
        first: the index of the first job.
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
    """Delete what forced jobs left earlier: once, before submission, so that an interrupted job resumes when restarted.

    Raises:
        SecateurError: if a process is working on one of them.
    """
    for job in jobs:
        if job.force and job.folder.is_dir():
            with Alone(job.folder):
                discard(job.folder)


def _with_outcome(job: Job, composed: DictConfig) -> Job:
    """The job with its outcome, if that is known before it runs."""
    try:
        config = checked(composed)
        checked_log(config.logger)  # the job will run in the same environment as this process
    except Exception as error:
        return replace(job, settled=job.failing(error))
    record = record_in(job.folder)
    if failure := earlier_failure(config, record):
        return replace(job, settled=job.failing(failure))
    if is_done(config, record):
        assert record is not None
        return replace(job, settled=job.returning(objective_value(config, record), JobStatus.COMPLETED))
    return replace(job, force=config.force)
