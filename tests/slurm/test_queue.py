"""What the launcher requests of a queue, and how it reports problems with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.record import find_records
from tests.slurm.sweep import TOGETHER, Sweep, ended

pytestmark = pytest.mark.slow


def test_two_tasks_of_one_job_train_a_model_together(cluster: dict[str, str], tmp_path: Path) -> None:
    sweep = Sweep(output=tmp_path / "output", environment=cluster, seeds=(1,), overrides=TOGETHER, brake=0.0)
    code, told = ended(sweep.start())
    assert code == 0, told
    assert sweep.record(1).status == "finished"
    assert len(find_records(tmp_path)) == 1
    logs = [path.read_text() for path in (tmp_path / "output" / "sweeps" / "s" / ".submitit").glob("*_log.*")]
    assert any("GLOBAL_RANK: 1, MEMBER: 2/2" in log for log in logs)


def test_a_controller_that_does_not_answer_is_told_in_one_line(cluster: dict[str, str], tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text(Path(cluster["SLURM_CONF"]).read_text().replace(f"={cluster['SLURM_NODE_PORT']}", "=26999"))
    sweep = Sweep(output=tmp_path / "output", environment={**cluster, "SLURM_CONF": str(conf)}, seeds=(1,))
    code, told = ended(sweep.start())
    assert code == 1
    assert "hydra/launcher=slurm: the controller does not answer (Slurmctld(primary) at" in told
    assert "Traceback" not in told


def test_what_sbatch_refuses_is_told_in_one_line(cluster: dict[str, str], tmp_path: Path) -> None:
    wrong = ("hydra.launcher.partition=nowhere",)
    code, told = ended(Sweep(output=tmp_path / "output", environment=cluster, seeds=(1,), overrides=wrong).start())
    assert code == 1
    assert "hydra/launcher=slurm: sbatch refused the jobs: " in told
    assert "invalid partition specified: nowhere" in told
    assert "Traceback" not in told
