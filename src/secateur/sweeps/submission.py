"""Jobs that submitit runs: collecting their results, and running them in processes on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from pickle import UnpicklingError
from typing import Any

import submitit
from hydra.core.utils import JobReturn
from submitit.core.utils import UncompletedJobError

from secateur.configuration.instantiation import unknown_key
from secateur.errors import SecateurError
from secateur.sweeps.jobs import Job, clear

POLL_SECONDS = 1.0
_RULE = "\n" + "-" * 22 + "\n"  # submitit's separator before and after a traceback
_LOCAL = ("submitit_folder", "parallelism", "gpus_per_node", "tasks_per_node", "timeout_min")


def collected(job: Job, submitted: submitit.Job[JobReturn]) -> JobReturn:
    """The result of a finished job, even if it ended without leaving one."""
    leader, *followers = [submitted.task(number) for number in range(submitted.num_tasks)]
    left = [task for task in (leader, *followers) if task.paths.result_pickle.exists()]
    try:
        returns: list[JobReturn] = [task.result() for task in left]
    except UncompletedJobError as error:  # from the process that failed; the others were stopped with it
        return job.failing(_last_line(str(error)))
    except (EOFError, UnpicklingError) as error:  # truncated, for example by a full disk
        return job.failing(f"its result cannot be read ({error}); its output: {leader.paths.stderr}")
    if leader not in left:
        return job.failing(f"ended without a result: killed or cancelled; its output: {leader.paths.stderr}")
    return returns[0]


def run_locally(
    call: Callable[..., JobReturn], jobs: Sequence[tuple[Job, tuple[Any, ...]]], params: dict[str, Any]
) -> dict[int, JobReturn]:
    """Run jobs in processes on this machine, starting the next one when a slot is free.

    Args:
        call: the function that a process runs, with a job's arguments.
        jobs: the jobs, each with its arguments.
        params: the settings of ``conf/hydra/launcher/local.yaml``.

    Returns:
        The result of each job, by its number.
    """
    slots, processes = params["parallelism"], params["tasks_per_node"]
    waiting, running, returns = list(jobs), dict[int, tuple[Job, submitit.Job[JobReturn]]](), dict[int, JobReturn]()
    clear(job for job, _ in jobs)
    executor = submitit.LocalExecutor(params["submitit_folder"])
    executor.update_parameters(timeout_min=params["timeout_min"], tasks_per_node=processes)
    with submitit.helpers.environment_variables(**_threads(slots * processes)):
        while waiting or running:
            for slot in range(slots):
                if slot not in running and waiting:
                    job, arguments = waiting.pop(0)
                    executor.update_parameters(**_gpus(slot, params["gpus_per_node"]))
                    running[slot] = (job, executor.submit(call, *arguments))
            time.sleep(POLL_SECONDS)
            for slot, (job, submitted) in list(running.items()):
                if submitted.done():
                    returns[job.number] = collected(job, submitted)
                    del running[slot]
    return returns


def check_known(params: dict[str, Any], known: Collection[str]) -> None:
    """Refuse unknown settings of a launcher.

    Raises:
        SecateurError: for the first of them.
    """
    for name in params:
        if name not in known:
            raise unknown_key(name, known, where="hydra.launcher")


def check_local(params: dict[str, Any]) -> None:
    """Refuse unknown or invalid settings.

    Raises:
        SecateurError: for the first of them.
    """
    check_known(params, _LOCAL)
    if not isinstance(params["parallelism"], int) or params["parallelism"] < 1:
        raise SecateurError(f"hydra.launcher.parallelism={params['parallelism']}: must be a whole number, at least 1")
    check_processes(params)


def check_processes(params: dict[str, Any]) -> None:
    """Refuse ``auto`` or an invalid number of processes: a launcher must know how many to start.

    Raises:
        SecateurError: if it is not a number of at least 1.
    """
    if not isinstance(params["tasks_per_node"], int) or params["tasks_per_node"] < 1:
        raise SecateurError(
            f"trainer.devices={params['tasks_per_node']}: a launcher starts the processes of a job; give their number, "
            "such as trainer.devices=2"
        )


def _threads(processes: int) -> dict[str, str]:
    """OMP_NUM_THREADS such that the processes share this machine's processors, unless the user has set it."""
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // processes))}


def _gpus(slot: int, wanted: int | None) -> dict[str, Any]:
    """The GPUs of a slot; slots use different GPUs as long as there are enough."""
    import torch

    there = torch.cuda.device_count()
    count = min(1, there) if wanted is None else wanted
    chosen = [(slot * count + number) % there for number in range(count)] if there else []
    return {"gpus_per_node": len(chosen), "visible_gpus": chosen}


def _last_line(told: str) -> str:
    """The line that says what went wrong, from an error in which submitit includes the full traceback."""
    _, rule, rest = told.partition(_RULE)
    trace = [line for line in (rest.rpartition(_RULE)[0] if rule else told).splitlines() if line.strip()]
    return trace[-1].partition(": ")[2] or trace[-1]
