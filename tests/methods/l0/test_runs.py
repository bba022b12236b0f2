"""Complete L0 runs: their records, and that the config's settings reach the phase."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from secateur.record import Record, StepRecord
from secateur.structure.gates import PerGate
from tests.small_runs import run

QUICK = ("model.epochs=1", "sparsity=0.5")


def step(record: Record, name: str) -> StepRecord:
    return next(each for each in record.steps if each.name == name)


def importance(folder: Path) -> PerGate:
    (path,) = folder.glob("steps/*-gate/importance.safetensors")
    return PerGate.load(path)


def test_scores_stand_before_and_after_recovery(tmp_path: Path) -> None:
    record, _ = run("method=l0", *QUICK, output=tmp_path)
    assert record.compressed is not None
    before = step(record, "surgery").scores
    assert before is not None
    assert before.keys() == record.compressed.scores.keys()
    assert before != record.compressed.scores
    assert step(record, "recover").scores is None


def test_kinds_that_are_gated_apart_each_come_to_their_own_target(tmp_path: Path) -> None:
    asked = ("method=l0_apart", "sparsity=null", "method.heads=0.25", "method.units=0.5", "model.epochs=1")
    record, _ = run(*asked, output=tmp_path)
    assert record.compressed is not None
    assert (record.compressed.structure.heads_removed, record.compressed.structure.units_removed) == (0.25, 0.5)
    assert list(step(record, "gate_heads").details["open_fraction"]) == ["heads"]
    assert list(step(record, "gate_units").details["open_fraction"]) == ["units"]


def test_gates_that_are_priced_together_are_ranked_as_they_are(tmp_path: Path) -> None:
    """Their price goes by their weights already; ranked by weight, too, no head would be left."""
    record, _ = run("method=l0", "method.split=joint", *QUICK, output=tmp_path)
    assert record.compressed is not None
    structure = record.compressed.structure
    assert structure.removed == pytest.approx(0.5, abs=0.05)
    assert 0 < structure.heads_removed < 1
    assert len(step(record, "gate").details["multipliers"]) == 1


def test_every_layer_keeps_the_heads_that_it_is_to_keep(tmp_path: Path) -> None:
    asked = ("method=l0", "sparsity=null", "method.heads=0.75", "method.min_heads_per_layer=1", "model.epochs=1")
    record, _ = run(*asked, output=tmp_path)
    assert record.compressed is not None
    assert record.compressed.structure.heads == [1, 1, 1]


def test_the_gate_phase_imitates_where_it_is_told_to(tmp_path: Path) -> None:
    chosen = ("method=l0", *QUICK, "distillation=logits")
    _, plain = run(*chosen, output=tmp_path)
    _, imitating = run(*chosen, "method.steps.gate.distillation=${distillation.loss}", output=tmp_path)
    assert not torch.equal(*(torch.cat(importance(folder).units) for folder in (plain, imitating)))


def test_a_target_is_met_over_several_passes_of_a_step_too(tmp_path: Path) -> None:
    """Multipliers go by optimizer steps."""
    several = ("method.steps.gate.accumulate_grad_batches=2", "method.steps.gate.epochs=8")
    record, _ = run("method=l0", *QUICK, *several, output=tmp_path)
    assert step(record, "gate").details["open_fraction"] == pytest.approx({"heads": 0.5, "units": 0.5}, abs=0.15)
