"""However a job in the queue ends, it resumes from its last checkpoint, in the same folder, under the same wandb id.

It finishes with the weights and scores of a run that was not interrupted.
"""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

from tests.contract.test_resume import assert_same
from tests.loggers.test_dashboard import told as told_to_wandb
from tests.slurm.sweep import PATIENCE, TOGETHER, Sweep, ended, restarted_logs, wait_until

pytestmark = pytest.mark.slow

REQUEUED, TERMINATED, CANCELLED, ALONE = 1, 2, 3, 4


def assert_went_on(sweep: Sweep, seed: int, *, starts: int) -> None:
    """The job ended as if nothing had happened, and was logged as one run by so many processes."""
    folder = sweep.folder(seed)
    assert_same(sweep.whole(seed), (sweep.record(seed), folder))
    assert restarted_logs(folder) == [(folder / "wandb_id").read_text().strip()] * starts
    assert not list(folder.rglob("*.partial"))


def test_requeued_terminated_and_cancelled_jobs_go_on(cluster: dict[str, str], tmp_path: Path) -> None:
    """Of one array a job is requeued by SLURM, one gets SIGTERM while it runs, one is cancelled, one left alone."""
    sweep = Sweep(output=tmp_path / "output", environment=cluster, seeds=(REQUEUED, TERMINATED, CANCELLED, ALONE))
    command = sweep.start()
    for seed in sweep.seeds:
        wait_until(lambda seed=seed: sweep.is_training(seed))
    sweep.slurm("scontrol", "requeue", sweep.job_id(REQUEUED))
    sweep.slurm("scancel", "--signal=TERM", sweep.job_id(TERMINATED))
    sweep.slurm("scancel", sweep.job_id(CANCELLED))
    for seed in (REQUEUED, TERMINATED):
        sweep.start_at_once(seed)
    code, told = ended(command)
    assert code == 1
    assert "4 jobs: 3 finished, 1 failed" in told
    assert "ended without a result: killed or cancelled" in told
    assert sweep.record(CANCELLED).status == "running"
    assert_went_on(sweep, REQUEUED, starts=2)
    assert_went_on(sweep, TERMINATED, starts=2)
    assert_went_on(sweep, ALONE, starts=1)
    (predecessor,) = (path for path in (sweep.output / "store" / "predecessors").iterdir() if path.is_dir())

    before = [sweep.job_id(seed) for seed in sweep.seeds]
    code, told = ended(sweep.start())
    assert code == 0
    assert "4 jobs: 4 finished, 0 failed" in told
    after = [sweep.job_id(seed) for seed in sweep.seeds]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, True]
    assert_went_on(sweep, CANCELLED, starts=2)
    assert predecessor.is_dir()


def test_two_tasks_of_one_job_are_queued_again_together(cluster: dict[str, str], tmp_path: Path) -> None:
    """Both get SIGTERM: the one that does not lead must not end before the other has had the job queued again."""
    sweep = Sweep(output=tmp_path / "output", environment=cluster, seeds=(1,), overrides=TOGETHER)
    command = sweep.start()
    wait_until(lambda: sweep.is_training(1))
    sweep.slurm("scancel", "--signal=TERM", sweep.job_id(1))
    sweep.start_at_once(1)
    code, told = ended(command)
    assert code == 0
    assert "1 jobs: 1 finished, 0 failed" in told
    assert sweep.record(1).status == "finished"
    folder = sweep.folder(1)
    assert restarted_logs(folder) == [(folder / "wandb_id").read_text().strip()] * 2
    logged = told_to_wandb(folder)
    assert logged["config"]["method"]["name"] == "control"
    assert logged["summary"]["compressed/f1"] == pytest.approx(sweep.record(1).compressed.scores["f1"])


def test_a_time_limit_is_survived(cluster: dict[str, str], tmp_path: Path) -> None:
    """The job is told by SIGUSR2 ahead of its limit, and queued again."""
    minutes = math.ceil(PATIENCE / 210)  # 2, or more where starting takes longer; training takes over twice as long
    limits = (f"hydra.launcher.timeout_min={minutes}", "hydra.launcher.signal_delay_s=5")
    sweep = Sweep(output=tmp_path / "output", environment=cluster, seeds=(1,), overrides=limits, brake=3.5 * minutes)
    command = sweep.start()
    wait_until(lambda: sweep.is_training(1))
    sweep.start_at_once(1)
    code, _ = ended(command)
    assert code == 0
    assert_went_on(sweep, 1, starts=max(2, len(restarted_logs(sweep.folder(1)))))  # more on a machine under load
    (log,) = (tmp_path / "output" / "sweeps" / "s" / ".submitit").glob("*_0_log.err")
    assert "Caught signal SIGUSR2" in log.read_text()


def test_a_dead_terminal_and_a_dead_node_are_survived(cluster: dict[str, str], tmp_path: Path) -> None:
    """The command is killed: its job runs on, and the same command finds it in the queue. Then its node dies."""
    sweep = Sweep(output=tmp_path / "output", environment=cluster, seeds=(1,), brake=3.0)
    first = sweep.start()
    wait_until(lambda: sweep.is_training(1))
    first.kill()
    ended(first)
    job_id = sweep.job_id(1)
    second = sweep.start()
    kill_node(sweep, job_id)
    sweep.slurm("slurmd")
    sweep.start_at_once(1)
    code, told = ended(second)
    assert code == 0
    assert "jobs already in the queue: 1" in told
    assert sweep.job_id(1) == job_id
    assert_went_on(sweep, 1, starts=2)


def kill_node(sweep: Sweep, job_id: str) -> None:
    """End slurmd, and everything that it started for a job, with ``kill -9``."""
    conf = sweep.environment["SLURM_CONF"]  # there may be other clusters on this machine
    children = [line.split()[0] for line in sweep.slurm("scontrol", "listpids", job_id).splitlines()[1:]]
    steps = [
        path.name
        for path in Path("/proc").iterdir()
        if path.name.isdigit()
        and f"slurmstepd: [{job_id}." in _text(path / "cmdline")
        and conf in _text(path / "environ")
    ]
    daemon = (Path(conf).parent / "slurmd.pid").read_text().strip()
    for process in (daemon, *steps, *children):
        if process.isdigit():
            subprocess.run(["kill", "-9", process], check=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
