"""A job in the process that a launcher started for it: threads, ranks, and what signals mean there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

import submitit
from hydra.core.utils import JobReturn, JobStatus
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

SCONTROL_SECONDS = 20
LEADER_SECONDS = 3 * SCONTROL_SECONDS  # that the first of several processes has to have a job queued again
TERMINATED = 128 + signal.SIGTERM


class OnNode:
    """One of Hydra's jobs, as it is handed to submitit.

    Args:
        job: called with what it was submitted with; hydra-submitit-launcher's own.
    """

    def __init__(self, job: Any) -> None:
        self.job = job

    def __call__(self, *arguments: Any) -> JobReturn:
        """See to the circumstances, then run the job.

        Raises:
            Exception: what one of several processes failed with; the exit code takes the others along.
        """
        environment = submitit.JobEnvironment()
        together = environment.num_tasks > 1
        _share_threads(environment)
        if together:
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        signal.signal(signal.SIGTERM, _on_sigterm(environment))
        returned: JobReturn = self.job(*arguments)
        if together and returned.status == JobStatus.FAILED:
            raise returned._return_value
        return returned

    def checkpoint(self, *arguments: Any) -> DelayedSubmission:
        """What is queued again: the same, which goes on from what it finds in its run folder."""
        return DelayedSubmission(self, *arguments)


def _share_threads(environment: submitit.JobEnvironment) -> None:
    """Of a SLURM node a process takes the processors that it was given, unless told otherwise."""
    given = os.environ.get("SLURM_CPUS_PER_TASK")
    if given is None and "SLURM_CPUS_ON_NODE" in os.environ:
        tasks = environment.num_tasks // environment.num_nodes
        given = str(max(1, int(os.environ["SLURM_CPUS_ON_NODE"]) // tasks))
    if given is not None:
        os.environ.setdefault("OMP_NUM_THREADS", given)


def _on_sigterm(environment: submitit.JobEnvironment) -> Any:
    """The handler of SIGTERM. Installed after submitit's own, which pass it over and requeue on SIGUSR2."""
    requeue = signal.getsignal(environment._usr_sig())

    def stop(number: int, frame: FrameType | None) -> None:
        # Lightning calls this from its own handler; a second signal must not find the job half requeued.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if environment.cluster == "slurm" and environment.global_rank > 0:
            time.sleep(LEADER_SECONDS)  # its end would take the first process along, which has yet to requeue the job
        if callable(requeue) and environment.cluster == "slurm" and _is_running(environment.raw_job_id):
            requeue(number, frame)
        # SLURM itself takes the job away: it is queued again, or cancelled. What is on disk is enough to go on from.
        sys.exit(TERMINATED)

    return stop


def _is_running(job_id: str) -> bool:
    """Whether SLURM still has a job as running; once it is requeued or cancelled, it is completing."""
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job_id}"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SCONTROL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return True  # nobody can say: better twice in the queue, where a lock keeps one out, than lost
    return told.stdout.strip() in {"RUNNING", "PREEMPTED", "SUSPENDED", "SIGNALING"}
