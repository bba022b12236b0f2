"""The command in its own process: exit codes, one line for a mistake, multiruns, and what is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from secateur.errors import SecateurError
from secateur.record import read_record
from tests.small_runs import run, small

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def secateur(*overrides: str, cwd: Path, multirun: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "secateur", *(["-m"] if multirun else []), *small(*overrides)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, check=False)


def test_help_names_every_group_and_says_how_to_begin(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "secateur", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=True,
    ).stdout
    for group in ("dataset:", "distillation:", "export:", "method:", "model:", "trainer:"):
        assert group in told
    assert "secateur -m method=random,gain" in told


def test_a_mistake_is_one_line_and_exit_code_1_and_leaves_no_folder(tmp_path: Path) -> None:
    ended = secateur("sparsity=1.5", cwd=tmp_path)
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if line and "HYDRA_FULL_ERROR" not in line]
    assert lines[-1].startswith("sparsity=1.5: must lie in [0, 1)")
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "outputs" / "runs").glob("*"))


def test_an_unwritable_output_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("in the way")
    ended = secateur(cwd=tmp_path)
    assert ended.returncode == 1
    assert "paths.runs=outputs/runs: cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_multirun_goes_on_after_a_failure_and_shares_one_predecessor(tmp_path: Path) -> None:
    ended = secateur(
        "method=random,gain", "sparsity=0.3,1.5", "sweep=first", "model.epochs=1", cwd=tmp_path, multirun=True
    )
    assert ended.returncode == 1
    assert "sparsity=1.5: must lie in [0, 1)" in ended.stderr
    assert "4 jobs: 2 finished, 2 failed; this table again: secateur-report outputs/sweeps/first" in ended.stdout
    records = [read_record(path) for path in (tmp_path / "outputs" / "sweeps" / "first").glob("*/record.json")]
    assert {(record.method, record.status) for record in records} == {("random", "finished"), ("gain", "finished")}
    predecessors = [path for path in (tmp_path / "outputs" / "store" / "predecessors").iterdir() if path.is_dir()]
    assert len(predecessors) == 1


def test_a_loss_that_is_no_number_names_phase_and_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the record says that the run failed, with the traceback beside it."""
    from secateur.tasks.question_answering import QuestionAnswering

    plain = QuestionAnswering.forward

    def broken(self, model, batch):
        outputs = plain(self, model, batch)
        if model.training:
            outputs["loss"] = outputs["loss"] * torch.nan
        return outputs

    run("method=finetune", output=tmp_path)
    monkeypatch.setattr(QuestionAnswering, "forward", broken)
    with pytest.raises(SecateurError, match=r"^phase recover: the loss is nan at optimizer step 0; lower its learning"):
        run("method=control", output=tmp_path)
    (folder,) = (tmp_path / "runs").glob("control-*")
    assert read_record(folder).status == "failed"
    assert "phase recover" in (folder / "error.txt").read_text()
    monkeypatch.setattr(QuestionAnswering, "forward", plain)
    record, _ = run("method=control", output=tmp_path)
    assert record.status == "finished"


def test_force_starts_over(tmp_path: Path) -> None:
    _, folder = run("method=finetune", output=tmp_path)
    before = (folder / "record.json").stat().st_mtime_ns
    run("method=finetune", "force=true", output=tmp_path)
    assert (folder / "record.json").stat().st_mtime_ns > before


@pytest.mark.parametrize("begun", [{"SUBMITIT_EXECUTOR": "slurm"}, {"SLURM_RESTART_COUNT": "1"}])
def test_a_forced_job_that_is_begun_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: dict[str, str]
) -> None:
    """A launcher cleared its folder before it was handed over; it would never end where it is longer than its limit."""
    _, folder = run("method=finetune", output=tmp_path)
    before = (folder / "record.json").stat().st_mtime_ns
    for name, value in begun.items():
        monkeypatch.setenv(name, value)
    run("method=finetune", "force=true", output=tmp_path)
    assert (folder / "record.json").stat().st_mtime_ns == before


def test_a_record_that_cannot_be_read_is_told_with_a_remedy_that_works(tmp_path: Path) -> None:
    _, folder = run("method=finetune", output=tmp_path)
    (folder / "record.json").write_text('{"schema": 3')
    with pytest.raises(SecateurError, match=r"record\.json: not a record of schema .*; force=true starts over$"):
        run("method=finetune", output=tmp_path)
    record, _ = run("method=finetune", "force=true", output=tmp_path)
    assert record.status == "finished"


BROKEN = """
import sys
import secateur.runs.building
from secateur.commands.compress import main

def broken(config):
    {what}

secateur.runs.building.check_buildable = broken
main()
"""


def multirun(what: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Two jobs, to each of which something happens before it runs."""
    command = [sys.executable, "-c", BROKEN.format(what=what), "-m", *small("seed=1,2", "sweep=s")]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, check=False)


def test_what_nobody_foresaw_leaves_its_traceback_too(tmp_path: Path) -> None:
    ended = multirun("raise RuntimeError('a fault of ours')", cwd=tmp_path)
    assert ended.returncode == 1
    assert "2 jobs: 0 finished, 2 failed" in ended.stdout
    for seed in (1, 2):
        (told,) = (tmp_path / "outputs" / "sweeps" / "s").glob(f"*seed{seed}-*/error.txt")
        assert "RuntimeError: a fault of ours" in told.read_text()


def test_a_multirun_that_is_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    ended = multirun("sys.exit(143)", cwd=tmp_path)
    assert ended.returncode == 143
    assert "repeat the command to run the rest; secateur-report outputs/sweeps/s shows what is finished" in ended.stdout


def test_a_run_finished_by_another_version_is_said_to_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, folder = run("method=finetune", output=tmp_path)
    path = folder / "record.json"
    content = json.loads(path.read_text())
    content["versions"]["secateur"] = "0.0.1"
    path.write_text(json.dumps(content))
    with caplog.at_level("INFO"):
        run("method=finetune", output=tmp_path)
    assert "already finished by secateur 0.0.1" in caplog.text


def test_stacking_keeps_the_reference_of_the_parent(tmp_path: Path) -> None:
    """Retention and speed-up of a stacked run have the dense model as their base, not the parent."""
    parent, folder = run("method=gain", "sparsity=0.3", output=tmp_path)
    child, below = run("method=gain", "sparsity=0.5", f"predecessor.checkpoint={folder / 'model'}", output=tmp_path)
    assert child.parents == [parent.name]
    assert parent.reference is not None
    assert child.reference is not None
    assert (below / child.reference.folder).resolve() == (folder / parent.reference.folder).resolve()
    assert child.reference.scores == parent.reference.scores
    assert child.compressed is not None
    assert parent.compressed is not None
    assert child.compressed.structure.removed > parent.compressed.structure.removed > 0.3
