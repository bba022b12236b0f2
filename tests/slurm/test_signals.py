"""How a real queue signals a job, and what happens to it; the job itself only sleeps, so that this is fast."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("submitit", reason="the extra slurm is not installed")

import submitit

from secateur.sweeps.node import OnNode
from tests.slurm.sleeper import Sleeper
from tests.slurm.sweep import SOON, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def slurm(cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A command of SLURM, and what it says."""
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    return lambda *command: subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def job(slurm: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A job in the partition whose jobs give way to others, once it has begun. It may take ``param`` minutes."""
    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="slurm", slurm_max_num_timeout=5)
    executor.update_parameters(
        timeout_min=getattr(request, "param", 30), slurm_signal_delay_s=5, slurm_partition="spare", cpus_per_task=1
    )
    submitted = executor.submit(OnNode(Sleeper()), str(tmp_path / "log"))
    wait_until((tmp_path / "log").is_file)
    return submitted


def state(slurm: Callable[..., str], job: Any) -> str:
    return slurm("squeue", "--me", "--noheader", "--format=%T", f"--jobs={job.job_id}")


def goes_on(slurm: Callable[..., str], job: Any) -> bool:
    """Whether a job that waits to be begun again then ends well; spares it two minutes of waiting."""
    wait_until(lambda: state(slurm, job) == "PENDING")
    slurm("scontrol", "update", f"JobId={job.job_id}", SOON)
    wait_until(job.paths.result_pickle.is_file)
    return job.paths.result_pickle.is_file()


def test_a_job_that_gives_way_to_another_is_queued_again_once(
    slurm: Callable[..., str], job: Any, tmp_path: Path
) -> None:
    """SIGTERM comes while SLURM still has it as running: the job has to see to it."""
    slurm("sbatch", "--partition=main", "--ntasks=4", "--output=/dev/null", "--wrap=sleep 3")
    assert goes_on(slurm, job)
    assert (tmp_path / "log").read_text().split() == ["begun", "SystemExit", "begun"]


def test_a_job_that_is_requeued_is_begun_again_once(slurm: Callable[..., str], job: Any, tmp_path: Path) -> None:
    """SLURM sees to it: the job only has to end."""
    slurm("scontrol", "requeue", job.job_id)
    assert goes_on(slurm, job)
    assert (tmp_path / "log").read_text().split() == ["begun", "SystemExit", "begun"]


@pytest.mark.parametrize("job", [1], indirect=True)
def test_a_job_that_reaches_its_limit_is_queued_again_once(slurm: Callable[..., str], job: Any, tmp_path: Path) -> None:
    assert goes_on(slurm, job)
    assert (tmp_path / "log").read_text().split() == ["begun", "SystemExit", "begun"]
    assert "Caught signal SIGUSR2" in job.paths.stderr.read_text() + job.paths.stdout.read_text()


def test_a_job_that_is_cancelled_stays_so(slurm: Callable[..., str], job: Any, tmp_path: Path) -> None:
    slurm("scancel", job.job_id)
    wait_until(lambda: not slurm("squeue", "--me", "--noheader"))
    assert (tmp_path / "log").read_text().split() == ["begun", "SystemExit"]
    assert not job.paths.result_pickle.exists()
