"""A job in the process that a launcher started for it: threads, ranks and signals."""

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
LEADER_SECONDS = 3 * SCONTROL_SECONDS  # the time that the first of several processes has to requeue the job
TERMINATED = 128 + signal.SIGTERM


class OnNode:
    """One of Hydra's jobs, as submitted to submitit.

    Args:
        job: hydra-submitit-launcher's callable, which takes the arguments of the submission.
    """

    def __init__(self, job: Any) -> None:
        self.job = job

    def __call__(self, *arguments: Any) -> JobReturn:
        """Set up threads, ranks and signals, then run the job.

        Raises:
            Exception: the error of one of several processes, so that its exit code stops the others.
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
        """The submission to requeue: the same job, which resumes from what is in its run folder."""
        return DelayedSubmission(self, *arguments)


def _share_threads(environment: submitit.JobEnvironment) -> None:
    """On a SLURM node, use as many threads as the process was allocated processors, unless OMP_NUM_THREADS is set."""
    given = os.environ.get("SLURM_CPUS_PER_TASK")
    if given is None and "SLURM_CPUS_ON_NODE" in os.environ:
        tasks = environment.num_tasks // environment.num_nodes
        given = str(max(1, int(os.environ["SLURM_CPUS_ON_NODE"]) // tasks))
    if given is not None:
        os.environ.setdefault("OMP_NUM_THREADS", given)


def _on_sigterm(environment: submitit.JobEnvironment) -> Any:
    """The handler of SIGTERM. It is installed after submitit's own handlers, which ignore it and requeue on SIGUSR2."""
    requeue = signal.getsignal(environment._usr_sig())

    def stop(number: int, frame: FrameType | None) -> None:
        # Lightning calls this from its own handler; a second signal must not interrupt the requeueing.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if environment.cluster == "slurm" and environment.global_rank > 0:
            time.sleep(LEADER_SECONDS)  # exiting would also end the first process, which has yet to requeue the job
        if callable(requeue) and environment.cluster == "slurm" and _is_running(environment.raw_job_id):
            requeue(number, frame)
        # SLURM itself ends the job, and has requeued or cancelled it. What is on disk is enough to resume from.
        sys.exit(TERMINATED)

    return stop


def _is_running(job_id: str) -> bool:
    """Whether SLURM still lists a job as running; once it is requeued or cancelled, it is completing."""
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job_id}"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SCONTROL_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return True  # unknown: better queued twice, where a lock keeps one out, than lost
    return told.stdout.strip() in {"RUNNING", "PREEMPTED", "SUSPENDED", "SIGNALING"}
