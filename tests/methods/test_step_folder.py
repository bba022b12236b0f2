"""A finished step is read back unchanged, and the folder of an interrupted one is ignored."""

from __future__ import annotations

from pathlib import Path

import torch

from secateur.methods.step_folder import finished_steps, per_gate_of, read_step, unfinished, write_step
from secateur.record import StepRecord
from secateur.structure.gates import PerGate


def test_a_step_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = StepRecord(name="threshold", seconds=1.5, examples=0, scores={"f1": 50.0}, details={"kept": [1, 2]})
    gates = PerGate(heads=(torch.tensor([1.0, 0.0]),), units=(torch.ones(3),))
    write_step(tmp_path, record, {"gates": gates, "importance": None})
    assert read_step(tmp_path) == record
    left = per_gate_of(tmp_path)
    assert left.keys() == {"gates"}
    assert left["gates"].heads[0].equal(gates.heads[0])


def test_steps_come_in_order_and_a_killed_one_is_none_of_them(tmp_path: Path) -> None:
    steps = [tmp_path / "steps" / name for name in ("00-gate", "01-threshold", "10-recover")]
    for folder in (*reversed(steps), unfinished(tmp_path / "steps" / "02-surgery")):
        folder.mkdir(parents=True)
    assert finished_steps(tmp_path) == steps
    assert finished_steps(tmp_path / "nowhere") == []
