"""Another run's gates close the same heads and units, and only if they fit the model."""

from __future__ import annotations

import shutil

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.saved_gates import SavedGates
from tests.small_runs import run


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A run that set gates."""
    return run("method=random", "sparsity=0.5", output=tmp_path_factory.mktemp("output"))


def test_the_same_heads_and_units_go_and_the_run_is_a_parent(found, tmp_path):
    record, folder = found
    again, there = run("method=gates", f"method.gates={folder}", "seed=7", output=tmp_path)
    assert again.compressed.structure == record.compressed.structure
    assert again.parents == [record.name]
    name = "gates.safetensors"
    assert (there / "steps" / "00-gates" / name).read_bytes() == (folder / "steps" / "01-threshold" / name).read_bytes()


def test_widths_are_rounded_up_by_what_the_other_run_found_important(tmp_path):
    """Without it the units of lowest index would come back."""
    rounding = "method.steps.surgery.round_to=8"
    record, folder = run("method=gain", "sparsity=0.4", "method.steps.score.examples=16", rounding, output=tmp_path)
    again, there = run("method=gates", f"method.gates={folder}", rounding, output=tmp_path)
    assert again.compressed.structure == record.compressed.structure
    name = "model/model.safetensors"
    (first,), (second,) = ([*each.glob(f"steps/*-surgery/{name}")] for each in (folder, there))
    assert first.read_bytes() == second.read_bytes()


def test_gates_go_on_to_another_data_set_and_task(found, tmp_path):
    record, folder = found
    other = ("dataset=toy_pairs", "dataset.generator.train=40", "dataset.generator.test=8", "model.epochs=1")
    again, _ = run("method=gates", f"method.gates={folder}", *other, output=tmp_path)
    assert again.metric == "accuracy"
    for kind in ("heads", "units"):
        assert getattr(again.compressed.structure, kind) == getattr(record.compressed.structure, kind)


def test_what_a_killed_step_left_does_not_count(found, tmp_path):
    _, folder = found
    left = tmp_path / "run" / "steps" / "02-surgery.partial"
    left.mkdir(parents=True)
    (left / "gates.safetensors").write_bytes(b"half")
    with pytest.raises(SecateurError, match=r"has no steps/\*/gates\.safetensors"):
        SavedGates(run=str(tmp_path / "run"))
    assert SavedGates(run=str(folder)).gates.heads


def test_promises_importance_only_if_the_other_run_has_any(found, tmp_path):
    """So that a step that needs it is refused before anything is trained."""
    _, folder = found
    assert set(SavedGates(run=str(folder)).gives) == {"importance", "gates"}
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    for path in bare.glob("steps/*/importance.safetensors"):
        path.unlink()
    assert SavedGates(run=str(bare)).gives == ("gates",)


def test_gates_of_another_shape_are_refused_before_anything_is_trained(found, tmp_path):
    _, folder = found
    shape = "model.architecture.intermediate_size=40"
    with pytest.raises(
        SecateurError, match=r"^method\.gates=.*: gates for units of layer 0 have shape \(48,\), .* 40 "
    ):
        run("method=gates", f"method.gates={folder}", shape, output=tmp_path)
    assert not (tmp_path / "store" / "predecessors").exists()


@pytest.mark.parametrize(
    ("folder", "message"), [(None, "run=null: no run given"), ("nowhere", "run=nowhere: has no steps")]
)
def test_refuses_what_is_no_run(folder, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        SavedGates(run=folder)


def test_leaves_the_model_alone(found, make_model, make_context):
    model = make_model()
    state = SavedGates(run=str(found[1])).run(State(model=model), make_context())
    assert state.model is model
    assert int(sum(gate.eq(0).sum() for gate in state.gates.heads)) == 6
    assert torch.cat(state.gates.units).eq(0).sum() == 72
