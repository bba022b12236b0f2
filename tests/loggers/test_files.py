"""Curves as files in addition to the record, with a version for each process that trained the phase."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from secateur.configuration import naming
from secateur.errors import SecateurError
from secateur.loggers import TensorBoard
from tests.small_runs import Killed, composed, kill_at, run


def test_curves_of_each_phase_are_a_table(tmp_path: Path) -> None:
    _, folder = run("method=control", "logger=csv", "trainer.log_every_n_steps=2", output=tmp_path)
    with (folder / "logs" / "recover" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"train/loss", "val/f1", "step"} <= set(rows[0])
    assert (folder / "logs" / "predecessor" / "version_0" / "metrics.csv").is_file()


def test_a_phase_that_goes_on_leaves_the_earlier_table_alone(tmp_path: Path) -> None:
    asked = ("method=control", "logger=csv", "trainer.log_every_n_steps=1")
    run("method=finetune", output=tmp_path)
    with pytest.raises(Killed):
        run(*asked, kill_at(3, when="batch"), output=tmp_path)
    _, folder = run(*asked, output=tmp_path)
    assert sorted(path.name for path in (folder / "logs" / "recover").iterdir()) == ["version_0", "version_1"]


def test_tensorboard_writes_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra is not installed")
    _, folder = run("method=control", "logger=tensorboard", output=tmp_path)
    assert list((folder / "logs" / "recover").rglob("events.out.tfevents*"))


def test_tensorboard_that_is_not_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secateur.configuration.extras.find_spec", lambda _: None)
    with pytest.raises(SecateurError, match=r"^logger=tensorboard: needs tensorboard; install with: [^\n]*$"):
        TensorBoard().check()


def test_a_run_is_the_same_run_whatever_it_is_logged_to(tmp_path: Path) -> None:
    names = {naming.run_name(_root_=composed(f"logger={name}", output=tmp_path)) for name in ("none", "csv", "wandb")}
    assert len(names) == 1
