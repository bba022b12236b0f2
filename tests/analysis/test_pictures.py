"""Runs leave the pictures for which they have data, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from secateur.analysis import pictures
from secateur.record import ModelFigures, Record, StepRecord, Structure
from secateur.structure.gates import PerGate
from tests.small_runs import run
from tests.test_record import make


def make_record(*steps: dict[str, Any], units: tuple[int, ...] = (4,), **changes: Any) -> Record:
    known = {
        "reference": ModelFigures(folder="d", scores={"f1": 80.0}),
        "compressed": ModelFigures(folder="model", structure=Structure(units=list(units))),
        "steps": [StepRecord(name="s", seconds=1, details=details) for details in steps],
    }
    return make(**(known | changes))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("figures/*"))


def test_a_run_that_removed_heads_leaves_a_picture_of_its_structure(tmp_path: Path) -> None:
    _, folder = run("method=gain", "sparsity=0.5", output=tmp_path)
    assert names(folder) == ["structure.png"]
    assert (folder / "figures" / "structure.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_agrees_with_the_record_of_a_run_with_rounded_widths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    draw = pictures.draw_structure
    monkeypatch.setattr(pictures, "draw_structure", lambda layers, **k: drawn.append(layers) or draw(layers, **k))
    record, _ = run("method=random", "sparsity=0.5", "method.steps.surgery.round_to=16", output=tmp_path)
    assert record.compressed is not None
    assert [sum(layer.heads) for layer in drawn[0]] == record.compressed.structure.heads
    assert [layer.units for layer in drawn[0]] == record.compressed.structure.units
    assert {(len(layer.heads), layer.units_before) for layer in drawn[0]} == {(4, 48)}


def test_a_run_without_gates_leaves_no_folder_of_pictures(tmp_path: Path) -> None:
    _, folder = run("method=finetune", "model.epochs=1", output=tmp_path)
    assert not (folder / "figures").exists()


def test_what_steps_scored_on_the_way_is_drawn(tmp_path: Path) -> None:
    curve = [{"heads_removed": removed, "scores": {"f1": 80 - 60 * removed}} for removed in (0.0, 0.5)]
    best = [{"layer": 0, "head": 1, "scores": {"f1": 79.0}}]
    pictures.draw_pictures(make_record({"curve": curve}, {"best_head": best}, {}), tmp_path)
    assert names(tmp_path) == ["best_head.png", "curve.png"]


def test_heads_alone_are_held_against_the_model_that_they_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not against the reference of a run that went on from another, whose score is that of a larger model."""
    told: list[float] = []
    plain = pictures.draw_best_head
    monkeypatch.setattr(pictures, "draw_best_head", lambda *a, **k: told.append(k["whole"]) or plain(*a, **k))
    best = [{"layer": 0, "head": 1, "scores": {"f1": 74.0}}]
    pictures.draw_pictures(make_record({"whole": {"f1": 75.0}, "best_head": best}), tmp_path)
    assert told == [75.0]


def test_of_several_gates_the_last_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier ones belong to a model that later steps shrank."""
    for number, size in enumerate((4, 3)):
        step = tmp_path / "steps" / f"{number:02d}-threshold"
        step.mkdir(parents=True)
        PerGate(heads=(torch.ones(size),), units=(torch.ones(4),)).save(step / "gates.safetensors")
    drawn: list[Any] = []
    draw = pictures.draw_structure
    monkeypatch.setattr(pictures, "draw_structure", lambda layers, **k: drawn.append(layers) or draw(layers, **k))
    pictures.draw_pictures(make_record(), tmp_path)
    assert [len(layer.heads) for layer in drawn[0]] == [3]


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "tiny on toy_qa: gain, sparsity 0.5"),
        ({"sparsity": None, "distillation": "logits"}, "tiny on toy_qa: gain + logits"),
    ],
)
def test_titles_name_what_the_run_was(changes: dict[str, Any], title: str) -> None:
    assert pictures.title_of(make_record(**changes)) == title
