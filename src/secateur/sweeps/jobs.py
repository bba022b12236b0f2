"""The jobs of a multirun before they are handed to anyone: where each will lie, and whether it has to run at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from secateur.checks import checked
from secateur.errors import SecateurError
from secateur.search import told
from secateur.sweeps.outcomes import earlier_failure, is_done, record_in


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job.

    Attributes:
        number: among the jobs of the multirun, from 0.
        overrides: what distinguishes it, as Hydra has them.
        folder: its run folder.
        settled: what it comes to where it need not run: it is finished, refused, or failed before.
    """

    number: int
    overrides: list[str]
    folder: Path
    settled: JobReturn | None

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
        yield _with_outcome(Job(number=number, overrides=list(overrides), folder=folder, settled=None), composed)


def _with_outcome(job: Job, composed: DictConfig) -> Job:
    """The job with what is known of it before it runs."""
    try:
        config = checked(composed)
    except Exception as error:
        return _settled(job, job.failing(error))
    record = record_in(job.folder)
    if failure := earlier_failure(config, record):
        return _settled(job, job.failing(failure))
    if is_done(config, record):
        assert record is not None
        return _settled(job, job.returning(told(config, record), JobStatus.COMPLETED))
    return job


def _settled(job: Job, outcome: JobReturn) -> Job:
    return Job(number=job.number, overrides=job.overrides, folder=job.folder, settled=outcome)
