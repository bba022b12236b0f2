"""Jobs in the queue of a SLURM cluster: submitted as an array, found again, and watched until they finish."""

from __future__ import annotations

import logging
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shutil import which
from typing import Any

import submitit
from hydra.core.utils import JobReturn

from secateur.errors import SecateurError
from secateur.sweeps.jobs import Job, clear
from secateur.sweeps.submission import POLL_SECONDS, check_known, check_processes, collected

log = logging.getLogger(__name__)

ID_FILE = ".slurm_job"  # in a run folder: the job id of the last submission
ANSWER_SECONDS = 60  # a controller that has not answered by then is considered dead
QUEUE_SECONDS = 15.0  # between two queries of the queue
# Options that submitit names alike for all kinds of clusters; the others are specific to SLURM.
_SHARED = {"name", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min"}
_OWN = {"submitit_folder", "max_num_timeout"}
_SBATCH = {
    *("partition", "account", "qos", "constraint", "exclude", "gres", "array_parallelism", "signal_delay_s", "setup"),
    "additional_parameters",
}


def check_slurm(params: dict[str, Any]) -> None:
    """Refuse to launch without a SLURM cluster whose controller answers.

    Raises:
        SecateurError: if there is none, or for settings that are unknown or invalid.
    """
    check_known(params, _SHARED | _OWN | _SBATCH)
    check_processes(params)
    if which("sbatch") is None:
        raise SecateurError(
            "hydra/launcher=slurm: sbatch was not found; start on a machine that can submit to a cluster, or use "
            "hydra/launcher=local"
        )
    _asked(["scontrol", "ping"], "the controller does not answer")


def run_in_queue(
    call: Callable[..., JobReturn], jobs: Sequence[tuple[Job, tuple[Any, ...]]], params: dict[str, Any]
) -> dict[int, JobReturn]:
    """Run jobs as an array; those that an earlier command left in the queue are not submitted again.

    Args:
        call: the function that a process runs, with a job's arguments.
        jobs: the jobs, each with its arguments.
        params: the settings of ``conf/hydra/launcher/slurm.yaml``.

    Returns:
        The result of each job, by its number.

    Raises:
        SecateurError: if SLURM refuses the array, or does not answer.
    """
    folder = Path(params["submitit_folder"])
    queued = in_queue()
    watched: dict[int, tuple[Job, submitit.Job[JobReturn]]] = {
        job.number: (job, submitit.SlurmJob(folder, old, tasks=range(params["tasks_per_node"])))
        for job, _ in jobs
        if (old := _last_id(job.folder)) in queued
    }
    if watched:
        log.info("jobs already in the queue: %d", len(watched))
    fresh = [(job, arguments) for job, arguments in jobs if job.number not in watched]
    clear(job for job, _ in fresh)
    if fresh:
        watched |= _submitted(call, fresh, params)
    try:
        return _watched(watched)
    except KeyboardInterrupt:
        ids = sorted({submitted.job_id.partition("_")[0] for _, submitted in watched.values()})
        log.warning(
            "the jobs continue without this terminal: repeat the command to watch them again; secateur-report %s shows "
            "what is finished, scancel %s cancels them",
            *(folder.parent, " ".join(ids)),
        )
        raise


def in_queue() -> set[str]:
    """The ids of this user's jobs that are pending, running or completing.

    Raises:
        SecateurError: if the controller does not answer.
    """
    told = _asked(["squeue", "--me", "--noheader", "--array", "--format=%i"], "the queue cannot be read")
    return set(told.split())


def _submitted(
    call: Callable[..., JobReturn], jobs: Sequence[tuple[Job, tuple[Any, ...]]], params: dict[str, Any]
) -> dict[int, tuple[Job, submitit.Job[JobReturn]]]:
    executor = submitit.AutoExecutor(
        params["submitit_folder"], cluster="slurm", slurm_max_num_timeout=params["max_num_timeout"]
    )
    executor.update_parameters(**_sbatch_options(params))
    try:
        submitted = executor.map_array(call, *zip(*(arguments for _, arguments in jobs), strict=True))
    except submitit.core.utils.FailedJobError as error:
        raise SecateurError(f"hydra/launcher=slurm: sbatch refused the jobs: {_reason(str(error))}") from error
    for (job, _), handle in zip(jobs, submitted, strict=True):
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ID_FILE).write_text(handle.job_id, encoding="utf-8")
    return {job.number: (job, handle) for (job, _), handle in zip(jobs, submitted, strict=True)}


def _sbatch_options(params: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in params.items() if value is not None}
    for name in _OWN:
        options.pop(name, None)
    if params["tasks_per_node"] > 1:  # if one process fails, the others would wait for it
        options["srun_args"] = ["--kill-on-bad-exit=1"]
    return {name if name in _SHARED else f"slurm_{name}": value for name, value in options.items()}


def _watched(jobs: dict[int, tuple[Job, submitit.Job[JobReturn]]]) -> dict[int, JobReturn]:
    """Wait until every job has left a result, or has left the queue without one."""
    returns: dict[int, JobReturn] = {}
    left: set[int] = set()  # not in the queue when it was last queried
    looked = time.monotonic()
    while missing := jobs.keys() - returns.keys():
        time.sleep(POLL_SECONDS)
        over = {number for number in missing if _result_of(jobs[number][1]).exists()}
        if time.monotonic() - looked > QUEUE_SECONDS:
            looked = time.monotonic()
            gone = _not_queued({number: jobs[number][1].job_id for number in missing})
            over |= gone & left  # missing twice: a result may be slow to appear on a shared file system
            left = gone
        returns |= {number: collected(*jobs[number]) for number in over}
    return returns


def _not_queued(ids: dict[int, str]) -> set[int]:
    try:
        queued = in_queue()
    except SecateurError as error:  # the controller may be restarting, during which its jobs keep running
        log.warning("%s; still waiting", error)
        return set()
    return {number for number, job_id in ids.items() if job_id not in queued}


def _result_of(submitted: submitit.Job[JobReturn]) -> Path:
    path: Path = submitted.task(0).paths.result_pickle
    return path


def _last_id(folder: Path) -> str | None:
    path = folder / ID_FILE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _asked(command: Iterable[str], trouble: str) -> str:
    """The output of a SLURM command.

    Raises:
        SecateurError: with ``trouble`` and SLURM's own message, if it fails or takes too long.
    """
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        raise SecateurError(f"hydra/launcher=slurm: {trouble} within {ANSWER_SECONDS} s; see scontrol ping") from None
    except subprocess.CalledProcessError as error:
        raise SecateurError(
            f"hydra/launcher=slurm: {trouble} ({_reason(error.stderr or error.stdout)}); see scontrol ping"
        ) from None
    except OSError as error:
        raise SecateurError(f"hydra/launcher=slurm: {trouble} ({error.strerror}: {error.filename})") from None
    return done.stdout


def _reason(told: str) -> str:
    """The most informative line: SLURM's own error without its prefix, otherwise the first line."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [re.sub(r"^\w+: error: ", "", line) for line in lines if "error:" in line]
    return (errors or lines or ["no reason given"])[0]
