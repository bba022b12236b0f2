"""Fine-tuning learns in training mode, and returns an ordinary model in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation import LogitsDistillation
from secateur.distillation.teacher import TeacherOutputs, write_teacher_outputs
from secateur.errors import SecateurError
from secateur.methods.base import Context, State
from secateur.methods.finetune import FineTuning
from secateur.methods.layerdrop import LayerDrop
from secateur.methods.phase import Phase
from secateur.structure.gates import PerGate
from secateur.tasks.base import Task

SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 16,
    "accumulate_grad_batches": 1,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
}


class Forwards(list):
    """What the task was asked to do: for each forward pass, the model's state and the examples."""

    @contextmanager
    def watched(self, task: Task) -> Iterator[None]:
        plain = task.forward

        def forward(model: PreTrainedModel, batch: Batch) -> Any:
            kinds = {type(module).__name__ for module in model.modules() if isinstance(module, nn.Dropout)}
            attention = model.config._attn_implementation
            self.append((model, model.training, kinds, attention, batch["items"].tolist()))
            return plain(model, batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(task, "forward", forward)
            yield


def test_the_loss_falls(make_model, make_context):
    context, model = make_context(), make_model()
    before = _loss(model, context)
    trained = FineTuning(**{**SETTINGS, "epochs": 3}).run(State(model=model), context).model
    assert trained is model
    assert _loss(trained, context) < 0.9 * before


def test_trains_with_dropout_and_hands_back_a_stock_model_in_evaluation_mode(make_model, make_context):
    """Every window once per epoch while training; validation without dropout; faster kernels are gone afterwards."""
    context, model, forwards = make_context(), make_model(), Forwards()
    gates = PerGate(heads=(torch.ones(4),) * 3, units=(torch.ones(48),) * 3)
    step = FineTuning(**{**SETTINGS, "epochs": 2})
    with forwards.watched(context.task):
        after = step.run(State(model=model, gates=gates, importance=gates), context)
    training = [(kinds, attention, items) for _, mode, kinds, attention, items in forwards if mode]
    assert all(kinds == {"FastDropout"} and attention != "sdpa" for kinds, attention, _ in training)
    windows = range(len(context.data.examples["train"]))
    assert sorted(item for *_, items in training for item in items) == sorted([*windows, *windows])
    assert step.examples_seen(context) == 2 * len(windows)
    val = sorted(item for _, mode, *_, items in forwards if not mode for item in items)
    assert val == sorted([*range(len(context.data.examples["val"]))] * 2)
    assert not any(module.training for module in after.model.modules())
    _assert_stock(after.model)
    assert after.gates is None
    assert after.importance is None


def test_part_of_an_epoch_is_trained_on_part_of_the_windows(make_model, make_context):
    """None of them twice, and as many as ``examples_seen`` says, but for the last batch."""
    context, forwards, step = make_context(), Forwards(), FineTuning(**{**SETTINGS, "epochs": 0.4})
    with forwards.watched(context.task):
        step.run(State(model=make_model()), context)
    seen = [item for _, mode, *_, items in forwards if mode for item in items]
    assert len(set(seen)) == len(seen)
    assert 0 <= len(seen) - step.examples_seen(context) < 16


def test_a_failure_leaves_stock_modules_too(make_model, make_context):
    """A loss that is no number ends the phase in one line."""
    model = make_model()
    with torch.no_grad():
        model.qa_outputs.bias.fill_(float("nan"))
    with pytest.raises(SecateurError, match=r"^phase step: the loss is nan at optimizer step 0; [^\n]*$"):
        FineTuning(**SETTINGS).run(State(model=model), make_context())
    _assert_stock(model)


def test_everything_random_follows_from_the_seed(make_model, make_context):
    weights = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        step = FineTuning(**{**SETTINGS, "epochs": 0.4})
        trained = step.run(State(model=make_model()), make_context(seed=seed, name=name)).model
        weights.append(nn.utils.parameters_to_vector(trained.parameters()).detach())
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


def test_imitates_the_teacher_only_if_asked(make_model, make_context, tmp_path):
    """What it said is asked for once and draws the student to the teacher; no other model runs in the phase."""
    asked: list[TeacherOutputs] = []
    teacher = make_model(seed=7)

    def teacher_outputs() -> TeacherOutputs:
        asked.append(TeacherOutputs(tmp_path / "outputs"))
        return asked[-1]

    context, model, forwards = make_context(teacher_outputs=teacher_outputs), make_model(), Forwards()
    (tmp_path / "outputs").mkdir()
    trainer = context.make_trainer(folder=tmp_path)
    write_teacher_outputs(teacher, context.task, context.data, trainer=trainer, folder=tmp_path / "outputs")
    distance = _distance(model, teacher, context)
    imitation = LogitsDistillation(temperature=1.0, alpha=1.0)
    with forwards.watched(context.task):
        FineTuning(**{**SETTINGS, "epochs": 2}, distillation=imitation).run(State(model=model), context)
    assert len(asked) == 1
    assert all(passed is model for passed, *_ in forwards)
    training = [mode for _, mode, *_ in forwards if mode]
    assert len(training) == 2 * -(-len(context.data.examples["train"]) // 16)
    assert _distance(model, teacher, context) < 0.8 * distance


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs", 0, "must be above 0"),
        ("epochs", -0.5, "must be above 0"),
        ("batch_size", 0, "must be at least 1"),
        ("accumulate_grad_batches", -1, "must be at least 1"),
        ("learning_rate", 0.0, "must be above 0"),
        ("weight_decay", 1.0, r"must lie in \[0, 1\)"),
        ("warmup_ratio", -0.1, r"must lie in \[0, 1\)"),
        ("max_grad_norm", -1.0, r"must be 0 \(no clipping\) or more"),
    ],
)
def test_refuses_values_out_of_range_in_one_line(key, value, message):
    with pytest.raises(SecateurError, match=rf"^{key}={value}: {message}$"):
        FineTuning(**{**SETTINGS, key: value})


def _assert_stock(model: PreTrainedModel) -> None:
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert {type(module) for module in dropouts} == {nn.Dropout}
    assert model.config._attn_implementation == "sdpa"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(module, kind) for module in model.modules() for kind in hooks)


@torch.no_grad()
def _loss(model: PreTrainedModel, context: Context) -> float:
    losses = [context.task.forward(model.eval(), batch)["loss"] for batch in _batches(context)]
    return torch.stack(losses).mean().item()


@torch.no_grad()
def _distance(model: PreTrainedModel, teacher: PreTrainedModel, context: Context) -> float:
    """Mean of the divergences of start and end from the teacher's."""
    imitation = LogitsDistillation(temperature=1.0, alpha=1.0)
    losses = []
    for batch in _batches(context):
        distilled = [
            context.task.distilled(context.task.forward(each.eval(), batch), batch) for each in (model, teacher)
        ]
        losses.append(imitation.loss(torch.tensor(0.0), *distilled))
    return torch.stack(losses).mean().item()


def _batches(context: Context) -> list[Batch]:
    return list(context.data.train_loader(batch_size=32, seed=0))


def test_settings_of_a_phase_are_spelt_out_for_the_config_check():
    """A key that nobody reads is refused by signatures; ``**training`` alone would let all of them pass."""
    shared = set(signature(Phase).parameters)
    own = {LayerDrop: {"p", "unit", "init"}, FineTuning: {"train_embeddings", "train_head", "clip"}}
    for phase, names in own.items():
        assert set(signature(phase).parameters) == shared | names
