"""A multirun in processes of this machine: side by side, one predecessor, only what is missing when repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.record import find_records, read_record
from tests.test_compress import secateur

pytest.importorskip("submitit", reason="the extra slurm is not installed")
pytestmark = pytest.mark.slow

# Of the two learning rates one leads to a loss that is no number.
ASKED = ("method=random", "seed=1,2", "method.steps.recover.learning_rate=1e-4,1e30", "hydra/launcher=local", "sweep=s")


def test_a_repeated_sweep_does_what_is_missing_and_failed_jobs_again_when_asked_to(tmp_path: Path) -> None:
    first = secateur(*ASKED, cwd=tmp_path, multirun=True)
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    records = {path: read_record(path) for path in find_records(sweep)}
    assert first.returncode == 1
    assert "4 jobs: 2 finished, 2 failed" in first.stdout
    assert first.stdout.count("the loss is nan at optimizer step") >= 2
    assert sorted(record.status for record in records.values()) == ["failed", "failed", "finished", "finished"]
    for path, record in records.items():
        assert (path.parent / "error.txt").is_file() == (record.status == "failed")
    assert len([path for path in (tmp_path / "outputs" / "store" / "predecessors").iterdir() if path.is_dir()]) == 1

    written = {path: path.stat().st_mtime_ns for path in records}
    second = secateur(*ASKED, cwd=tmp_path, multirun=True)
    assert second.returncode == 1
    assert "failed earlier: " in second.stdout
    assert {path: path.stat().st_mtime_ns for path in records} == written

    third = secateur(*ASKED, "retry=failed", cwd=tmp_path, multirun=True)
    assert third.returncode == 1
    again = {path for path in records if path.stat().st_mtime_ns != written[path]}
    assert again == {path for path, record in records.items() if record.status == "failed"}
