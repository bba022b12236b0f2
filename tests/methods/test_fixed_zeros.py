"""Declared zeros stay zero in every phase, despite momentum, weight decay, reduced precision or a killed process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.finetune import FineTuning
from secateur.methods.l0 import Amount
from secateur.methods.layer_choice import LayerAmount
from secateur.methods.layerdrop import LayerDrop
from secateur.methods.theseus import Replacement, Schedule
from secateur.structure.checkpoint import load, load_tokenizer, save_model
from secateur.structure.fixed_zeros import declare_fixed_zeros, declared_patterns, layer_patterns, masks_of, matching
from secateur.training.module import TrainingModule
from tests.methods.l0.test_phase import phase as gate_phase
from tests.methods.test_finetune import SETTINGS
from tests.small_runs import Killed, kill_at, run

EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"


@torch.no_grad()
def sparse(model: PreTrainedModel) -> PreTrainedModel:
    """About half of the layers' weights are zero, and declared so."""
    patterns = layer_patterns(model.config)
    generator = torch.Generator().manual_seed(0)
    for weight in matching(model, patterns).values():
        weight.mul_(torch.rand(weight.shape, generator=generator) < 0.5)
    declare_fixed_zeros(model, patterns)
    return model


def assert_kept(model: PreTrainedModel, masks: dict[str, Tensor]) -> None:
    """Nothing came back, and what may differ from 0 does."""
    now = masks_of(model)
    assert now.keys() == masks.keys()
    assert all(now[name].equal(mask) for name, mask in masks.items())


@pytest.mark.parametrize("max_grad_norm", [0.0, 0.1])
def test_fine_tuning_keeps_them_and_leaves_adam_nothing(make_model, make_context, monkeypatch, max_grad_norm):
    model = sparse(make_model())
    masks, optimizers, norms = masks_of(model), [], []
    monkeypatch.setattr(
        TrainingModule, "on_train_end", lambda self: optimizers.append(self.optimizers()), raising=False
    )
    plain = TrainingModule.configure_gradient_clipping

    def watched(self: TrainingModule, optimizer: Optimizer, *arguments: Any, **options: Any) -> None:
        plain(self, optimizer, *arguments, **options)
        layers = matching(model, declared_patterns(model.config))
        norms.extend(weight.grad[~masks[name]].abs().sum() for name, weight in layers.items())

    monkeypatch.setattr(TrainingModule, "configure_gradient_clipping", watched)
    settings = {**SETTINGS, "epochs": 2, "weight_decay": 0.5, "max_grad_norm": max_grad_norm}
    state = FineTuning(**settings).run(State(model=model), make_context())
    assert_kept(state.model, masks)
    assert not any(norms)
    for name, weight in matching(model, declared_patterns(model.config)).items():
        moments = optimizers[0].state[weight]
        assert not moments["exp_avg"][~masks[name]].any()
        assert not moments["exp_avg_sq"][~masks[name]].any()


def test_gates_trained_with_the_weights_keep_them(make_model, make_context):
    model = sparse(make_model())
    masks = masks_of(model)
    step = gate_phase(train_weights=True, epochs=2, amount=Amount(heads=0.25))
    closed = step.run(State(model=model), make_context()).model
    assert all(not masks_of(closed)[name][~mask].any() for name, mask in masks.items())


def test_fewer_layers_keep_them(make_model, make_context):
    """Wrappers change the names of weights while they train; successors have the zeros of the layers they begin as."""
    schedule = Schedule(kind="linear", rate=0.5, ratio=1.0)
    amount = LayerAmount(layers=2)
    steps = {"drop": LayerDrop(**SETTINGS, p=0.3), "replace": Replacement(**SETTINGS, amount=amount, schedule=schedule)}
    for name, step in steps.items():
        model = sparse(make_model())
        masks = masks_of(model)
        trained = step.run(State(model=model), make_context(name=name)).model
        left = {key: mask for key, mask in masks.items() if name == "drop" or "layer.2." not in key}
        assert_kept(trained, left)


def test_a_model_without_declared_zeros_trains_all_it_has(make_model, make_context):
    model = make_model()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, :8] = 0
    trained = FineTuning(**SETTINGS).run(State(model=model), make_context()).model
    assert trained.bert.encoder.layer[0].output.dense.weight[0, :8].all()


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a dense model; beside its model lies a sparse one, declared and not."""
    _, folder = run("method=finetune", output=tmp_path_factory.mktemp("parent"))
    model = sparse(load(folder / "model"))
    save_model(model, load_tokenizer(folder / "model"), folder / "declared")
    del model.config.fixed_zeros
    save_model(model, load_tokenizer(folder / "model"), folder / "foreign")
    return folder


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_killed_run_keeps_them_to_the_bit(parent, tmp_path, precision):
    start = f"predecessor.checkpoint={parent / 'declared'}"
    asked = ("method=control", start, f"trainer.precision={precision}", EVERY_STEP)
    _, whole = run(*asked, output=tmp_path / "whole")
    with pytest.raises(Killed):
        run(*asked, kill_at(3, when="batch"), output=tmp_path / "killed")
    _, resumed = run(*asked, output=tmp_path / "killed")
    expected, found = load(whole / "model"), load(resumed / "model")
    assert_kept(found, masks_of(load(parent / "declared")))
    assert all(weight.equal(found.state_dict()[name]) for name, weight in expected.state_dict().items())


@pytest.mark.parametrize("key", ["model", "predecessor"])
def test_a_foreign_sparse_model_keeps_its_zeros_when_asked_to(parent, tmp_path, key):
    """As the body under a new head, or with its head; without the key its zeros are trained like other weights."""
    foreign = parent / "foreign"
    asked = ("method=control", f"{key}.checkpoint={foreign}")
    kept, folder = run(*asked, "model.keep_zeros=true", output=tmp_path)
    assert_kept(load(folder / "model"), masks_of(load(parent / "declared")))
    lost, _ = run(*asked, output=tmp_path)
    assert kept.compressed.structure.zeroed > 0.4
    assert lost.compressed.structure.zeroed < 0.01


def test_zeros_that_are_not_there_cannot_be_kept(parent, tmp_path):
    with pytest.raises(
        SecateurError, match=r"^model\.keep_zeros=true: .* has no zeros in its layers' matrices; set it to false$"
    ):
        run("method=control", f"predecessor.checkpoint={parent / 'model'}", "model.keep_zeros=true", output=tmp_path)
    with pytest.raises(SecateurError, match=r"^model\.keep_zeros=true: needs a model\.checkpoint"):
        run("method=control", "model.keep_zeros=true", output=tmp_path)


def test_they_survive_surgery_recovery_and_export(parent, tmp_path):
    """Heads and units are taken out of a sparse model; what is left of its zeros is still there, in ONNX as well."""
    onnx = pytest.importorskip("onnx")
    from onnx import numpy_helper

    start = f"predecessor.checkpoint={parent / 'declared'}"
    record, folder = run("method=gain", "sparsity=0.5", start, "export=onnx", output=tmp_path)
    model = load(folder / "model")
    masks = masks_of(model)
    assert len(masks) == 18
    assert record.compressed.structure.removed == pytest.approx(0.5, abs=0.01)
    assert record.compressed.structure.zeroed == pytest.approx(0.25, abs=0.02)
    zeros = sum(int((~mask).sum()) for mask in masks.values())
    matrices = [numpy_helper.to_array(each) for each in onnx.load(folder / "onnx" / "model.onnx").graph.initializer]
    assert sum(int((matrix == 0).sum()) for matrix in matrices if matrix.ndim == 2) >= zeros
