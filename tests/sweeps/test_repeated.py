"""A multirun from the command line: one predecessor for all jobs, and only the missing jobs when it is repeated."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from secateur.record import find_records, read_record
from tests.commands.test_compress import ENVIRONMENT, secateur
from tests.small_runs import small

pytest.importorskip("submitit", reason="the extra slurm is not installed")

# Of the two learning rates one leads to a loss that is no number.
ASKED = ("method=random", "seed=1,2", "method.steps.recover.learning_rate=1e-4,1e30", "sweep=s")


def predecessors(output: Path) -> list[Path]:
    """The models that runs began with, as they are kept."""
    return [path for path in (output / "store" / "predecessors").iterdir() if path.is_dir()]


@pytest.mark.parametrize("launcher", ["serial", pytest.param("local", marks=pytest.mark.slow)])
def test_a_repeated_sweep_does_what_is_missing_and_failed_jobs_again_when_asked_to(
    launcher: str, tmp_path: Path
) -> None:
    asked = (*ASKED, f"hydra/launcher={launcher}")
    first = secateur(*asked, cwd=tmp_path, multirun=True)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    records = {path: read_record(path) for path in find_records(sweep)}
    assert first.returncode == 1
    assert "4 jobs: 2 finished, 2 failed" in first.stdout
    assert first.stdout.count("the loss is nan at optimizer step") >= 2
    assert sorted(record.status for record in records.values()) == ["failed", "failed", "finished", "finished"]
    for path, record in records.items():
        assert (path.parent / "error.txt").is_file() == (record.status == "failed")
    assert len(predecessors(tmp_path / "outputs")) == 1

    written = {path: path.stat().st_mtime_ns for path in records}
    second = secateur(*asked, cwd=tmp_path, multirun=True)
    assert second.returncode == 1
    assert "failed earlier: " in second.stdout
    assert {path: path.stat().st_mtime_ns for path in records} == written

    third = secateur(*asked, "retry=failed", cwd=tmp_path, multirun=True)
    assert third.returncode == 1
    again = {path for path in records if path.stat().st_mtime_ns != written[path]}
    assert again == {path for path, record in records.items() if record.status == "failed"}


def test_predecessors_that_were_made_first_serve_every_method_of_a_later_sweep(tmp_path: Path) -> None:
    """And a sweep without a name lies in a folder of its time."""
    first = secateur("method=finetune", "predecessor.seed=1,2", "model.epochs=1", cwd=tmp_path, multirun=True)
    assert first.returncode == 0, first.stderr
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", sweep.name)
    made = {path: path.stat().st_mtime_ns for path in predecessors(tmp_path / "outputs")}
    assert len(made) == 2
    later = ("method=random,magnitude", "predecessor.seed=1,2", "model.epochs=1", "sweep=later")
    second = secateur(*later, cwd=tmp_path, multirun=True)
    assert second.returncode == 0, second.stderr
    assert {path: path.stat().st_mtime_ns for path in predecessors(tmp_path / "outputs")} == made


LEFT_OUT = """
import sys
from secateur.commands.compress import main
main()
print("imported:", sorted({"wandb", "submitit", "optuna", "onnx"} & sys.modules.keys()))
"""


def test_what_was_not_asked_for_is_not_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEFT_OUT, *small("method=finetune", "model.epochs=1")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False)
    assert "imported: []" in done.stdout, done.stderr
