"""How the launcher talks to SLURM, whose commands are replaced by scripts here; tests/slurm uses the real ones."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("submitit", reason="the extra slurm is not installed")

from secateur.errors import SecateurError
from secateur.sweeps import slurm
from secateur.sweeps.jobs import Job

TASKS = {"tasks_per_node": 1}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a command of SLURM in the place of whatever this machine has."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()

    def play(name: str, script: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return play


def test_a_machine_without_slurm_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SecateurError, match=r"^hydra/launcher=slurm: sbatch was not found; [^\n]+$"):
        slurm.check_slurm(TASKS)


def test_a_controller_that_is_down_or_silent_is_told_in_one_line(commands: Any, monkeypatch: Any) -> None:
    commands("sbatch", "exit 0")
    commands("scontrol", "echo 'Slurmctld(primary) at head is DOWN'; exit 1")
    with pytest.raises(SecateurError, match=r"^hydra/launcher=slurm: the controller does not answer \(Slurmctld"):
        slurm.check_slurm(TASKS)
    commands("scontrol", "exec sleep 5")
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.2)
    with pytest.raises(SecateurError, match=r"does not answer within 0\.2 s; see scontrol ping$"):
        slurm.check_slurm(TASKS)


def test_slurms_own_words_are_told_without_its_prefix() -> None:
    told = "Batch job submission\nsbatch: error: invalid partition specified: nowhere\nsbatch: error: more\n"
    assert slurm._reason(told) == "invalid partition specified: nowhere"


def test_options_go_where_submitit_expects_them_and_those_that_are_null_nowhere() -> None:
    params = {"submitit_folder": "x", "max_num_timeout": 3, "name": "n", "partition": "gpu", "account": None, **TASKS}
    assert slurm._sbatch_options(params) == {"name": "n", "slurm_partition": "gpu", **TASKS}
    together = slurm._sbatch_options({**params, "tasks_per_node": 2})
    assert together["slurm_srun_args"] == ["--kill-on-bad-exit=1"]


def test_a_job_that_left_the_queue_without_a_result_is_over(
    commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that cannot be read for a while is no reason to give up."""
    monkeypatch.setattr(slurm, "QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    asked = tmp_path / "asked"
    commands("squeue", f'echo x >> {asked}; [ "$(wc -l < {asked})" = 1 ] && exit 1; echo 8_1')
    paths = SimpleNamespace(result_pickle=tmp_path / "none", stderr=tmp_path / "err")
    lost = SimpleNamespace(job_id="8_0", paths=paths, num_tasks=1, task=lambda _: lost)
    job = Job(number=0, overrides=[], folder=tmp_path / "run")
    returned = slurm._watched({0: (job, lost)})[0]
    assert str(returned._return_value).startswith("ended without a result")
    assert len(asked.read_text().split()) >= 3
    assert os.environ["PATH"].startswith(str(tmp_path))


def test_jobs_go_on_without_the_terminal_and_the_next_one_watches_them(
    commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C ends no job, and says how to see to them."""
    commands("squeue", "echo 8_0")
    job = Job(number=0, overrides=[], folder=tmp_path / "s" / "run", force=True)
    job.folder.mkdir(parents=True)
    (job.folder / slurm.ID_FILE).write_text("8_0")
    (job.folder / "record.json").write_text("{}")

    def interrupted(watched: Any) -> None:
        assert [submitted.job_id for _, submitted in watched.values()] == ["8_0"]
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "_watched", interrupted)
    with caplog.at_level("INFO"), pytest.raises(KeyboardInterrupt):
        slurm.run_in_queue(print, [(job, ())], {**TASKS, "submitit_folder": str(tmp_path / "s" / ".submitit")})
    assert "jobs already in the queue: 1" in caplog.text
    assert f"secateur-report {tmp_path / 's'} shows what is finished, scancel 8 cancels them" in caplog.text
    assert (job.folder / "record.json").is_file()  # a job in the queue is not cleared, though it is forced


def test_settings_that_nobody_reads_are_refused() -> None:
    """They would go to sbatch, or nowhere."""
    with pytest.raises(SecateurError, match=r"^hydra\.launcher\.partitoin: unknown key; did you mean partition\?$"):
        slurm.check_slurm({**TASKS, "partitoin": "gpu"})
    with pytest.raises(SecateurError, match=r"^hydra\.launcher\.nodes: unknown key; "):
        slurm.check_slurm({**TASKS, "nodes": 2})
