"""Launchers, which run the jobs of a multirun. Hydra finds launchers only in this namespace; they do little more than
call :mod:`secateur.sweeps`, which is imported when a multirun starts.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


class Serial(BasicLauncher):
    """Runs one job after the other in the launching process, and prints a table of all jobs at the end."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; failures are part of the returned results."""
        from secateur.sweeps.outcomes import outcomes_of, show_outcomes

        assert self.config is not None
        sweep = Path(self.config.hydra.sweep.dir)
        try:
            returns = super().launch(job_overrides, initial_job_idx)
        except (KeyboardInterrupt, SystemExit):
            log.warning("stopped: repeat the command to run the rest; secateur-report %s shows what is finished", sweep)
            raise
        show_outcomes(outcomes_of(returns), sweep=sweep)
        return returns


class _Submitted(Launcher):
    """Jobs that submitit runs in separate processes. Only jobs whose outcome is not yet known are submitted.

    Args:
        params: the launcher's config.
    """

    def __init__(self, **params: Any) -> None:
        plain = OmegaConf.to_container(OmegaConf.create(params), resolve=True)
        assert isinstance(plain, dict)
        self.params: dict[str, Any] = {str(name): value for name, value in plain.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings and store what Hydra passes in.

        Raises:
            SecateurError: if the packages are missing, or the settings are invalid.
        """
        from secateur.configuration.extras import check_extra

        asked = f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']}"
        check_extra("slurm", asked=asked)
        self._check()
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

        self.config, self.context = config, hydra_context
        self.job = BaseSubmititLauncher()
        self.job.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the remaining jobs, wait for them, and print the outcome of all jobs."""
        from secateur.sweeps.jobs import planned
        from secateur.sweeps.node import OnNode
        from secateur.sweeps.outcomes import outcomes_of, show_outcomes

        jobs = list(planned(self.context, self.config, job_overrides, first=initial_job_idx))
        state = Singleton.get_state()
        to_run = [
            (job, (job.overrides, "hydra.sweep.dir", job.number, f"job_id_for_{job.number}", state))
            for job in jobs
            if job.settled is None
        ]
        ran = self._run(OnNode(self.job), to_run)
        returns = [job.settled or ran[job.number] for job in jobs]
        show_outcomes(outcomes_of(returns), sweep=Path(self.config.hydra.sweep.dir))
        return returns

    @abstractmethod
    def _check(self) -> None: ...

    @abstractmethod
    def _run(self, call: Callable[..., JobReturn], jobs: Sequence[Any]) -> dict[int, JobReturn]: ...


class Local(_Submitted):
    """Runs jobs in processes on this machine, a limited number at a time."""

    def _check(self) -> None:
        from secateur.sweeps.submission import check_local

        check_local(self.params)

    def _run(self, call: Callable[..., JobReturn], jobs: Sequence[Any]) -> dict[int, JobReturn]:
        from secateur.sweeps.submission import run_locally

        return run_locally(call, jobs, self.params)


class Slurm(_Submitted):
    """Runs jobs as an array in the queue of a SLURM cluster."""

    def _check(self) -> None:
        from secateur.sweeps.slurm import check_slurm

        check_slurm(self.params)

    def _run(self, call: Callable[..., JobReturn], jobs: Sequence[Any]) -> dict[int, JobReturn]:
        from secateur.sweeps.slurm import run_in_queue

        return run_in_queue(call, jobs, self.params)
