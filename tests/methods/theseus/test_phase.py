"""Successors are trained among the predecessor's modules, which do not change, and only successors remain."""

from typing import Any

import pytest
import torch
from torch import nn

from secateur.distillation import PatientDistillation
from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.layer_choice import LayerAmount
from secateur.methods.shared_draws import SharedDraws
from secateur.methods.theseus import Replacement, Schedule
from secateur.methods.theseus.training import ReplacementTraining
from secateur.structure.anatomy import layers_of
from secateur.structure.fixed_zeros import declare_fixed_zeros, declared_patterns
from secateur.structure.parts import parts_of
from tests.methods.test_finetune import SETTINGS
from tests.small_runs import run


def replacement(*, rate: float = 0.5, kind: str = "linear", steps: int | None = None, **settings: Any) -> Replacement:
    schedule = Schedule(kind=kind, rate=rate, ratio=1.0, steps=steps)
    return Replacement(**{**SETTINGS, "amount": LayerAmount(layers=2), "schedule": schedule, **settings})


@pytest.fixture
def drawn(monkeypatch):
    """Of each training batch: which modules were replaced, and at which rate."""
    seen = []
    plain = ReplacementTraining.on_train_batch_start

    def watched(module, batch, batch_idx):
        plain(module, batch, batch_idx)
        rate = module.schedule.rate(module.trainer.global_step, total=module.trainer.max_steps)
        seen.append((tuple(each.replaced for each in module.modules_to_replace), rate))

    monkeypatch.setattr(ReplacementTraining, "on_train_batch_start", watched)
    return seen


def vector(weights):
    return nn.utils.parameters_to_vector(weights).detach().clone()


@pytest.mark.parametrize("clip", ["all", "trained"])
def test_only_the_successors_learn(make_model, make_context, clip):
    model = make_model()
    predecessor = list(layers_of(model))
    before = {name: vector(weights) for name, weights in parts_of(model).items()}
    first_two = vector([weight for layer in predecessor[:2] for weight in layer.parameters()])
    state = replacement(clip=clip).run(State(model=model), make_context())
    after = parts_of(state.model)
    assert len(layers_of(state.model)) == state.model.config.num_hidden_layers == 2
    assert torch.equal(vector(after["embeddings"]), before["embeddings"])
    assert torch.equal(vector(after["head"]), before["head"])
    assert torch.equal(vector([weight for layer in predecessor for weight in layer.parameters()]), before["layers"])
    assert not torch.equal(vector(after["layers"]), first_two)
    assert all(weight.requires_grad for weight in state.model.parameters())


@pytest.mark.parametrize("part", ["embeddings", "head"])
def test_other_parts_learn_if_asked(make_model, make_context, part):
    model = make_model()
    before = vector(parts_of(model)[part])
    replacement(**{f"train_{part}": True}).run(State(model=model), make_context())
    assert not torch.equal(vector(parts_of(model)[part]), before)


@pytest.mark.parametrize("clip", ["all", "trained"])
def test_a_batch_without_any_successor_changes_nothing_and_does_not_crash(make_model, make_context, monkeypatch, clip):
    """Draws above every rate: no module is ever replaced."""
    monkeypatch.setattr(SharedDraws, "next", lambda _, count: [1.0] * count)
    model = make_model()
    first_two = vector([weight for layer in layers_of(model)[:2] for weight in layer.parameters()])
    replacement(kind="constant", rate=0.5, clip=clip).run(State(model=model), make_context())
    assert torch.equal(vector(layers_of(model).parameters()), first_two)


def test_a_successor_that_a_batch_does_not_run_takes_no_step_in_it(make_model, make_context, monkeypatch):
    """Not by the momentum of the batch that ran it, nor by weight decay."""
    model, after_first = make_model(), []

    def draws(_, count):
        ran = [layer.successor for layer in layers_of(model)][1]
        after_first.append(vector(ran.parameters()))
        return [0.0, 0.0 if len(after_first) == 1 else 1.0]

    monkeypatch.setattr(SharedDraws, "next", draws)
    settings = {"weight_decay": 0.5, "warmup_ratio": 0.0, "batch_size": 8}
    replacement(kind="constant", rate=0.5, **settings).run(State(model=model), make_context())
    assert len(after_first) > 3
    assert not torch.equal(after_first[1], after_first[0])
    assert torch.equal(vector(layers_of(model)[1].parameters()), after_first[1])


def test_the_predecessors_dropout_is_on_in_training(make_model, make_context, monkeypatch):
    """As in the released code."""
    modes = []
    plain = ReplacementTraining.on_train_batch_start

    def watched(module, batch, batch_idx):
        plain(module, batch, batch_idx)
        modes.extend(each.training for module in module.modules_to_replace for each in module.predecessor.modules())

    monkeypatch.setattr(ReplacementTraining, "on_train_batch_start", watched)
    replacement().run(State(model=make_model()), make_context())
    assert modes
    assert all(modes)


def test_each_module_is_drawn_on_its_own_at_the_rate_of_the_step(make_model, make_context, drawn):
    settings = {"epochs": 12, "batch_size": 8}
    replacement(kind="constant", rate=0.5, steps=None, **settings).run(State(model=make_model()), make_context())
    flat = [replaced for modules, _ in drawn for replaced in modules]
    assert sum(flat) / len(flat) == pytest.approx(0.5, abs=0.12)
    assert {modules for modules, _ in drawn} == {(a, b) for a in (True, False) for b in (True, False)}


def test_the_rate_goes_by_optimizer_steps_not_by_batches(make_model, make_context, drawn):
    replacement(accumulate_grad_batches=2, epochs=2, batch_size=8).run(State(model=make_model()), make_context())
    rates = [rate for _, rate in drawn]
    assert rates[0] == rates[1] < rates[2] == rates[3]


def test_the_clip_counts_what_it_is_told_to(make_model, make_context, monkeypatch):
    counted = []
    plain = nn.utils.clip_grad_norm_

    def watched(weights, norm):
        weights = list(weights)
        counted.append(sum(weight.numel() for weight in weights if weight.grad is not None))
        return plain(weights, norm)

    monkeypatch.setattr("secateur.training.module.nn.utils.clip_grad_norm_", watched)
    largest = {}
    for clip in ("all", "trained"):
        counted.clear()
        replacement(clip=clip, rate=0.5, kind="constant").run(State(model=make_model()), make_context(name=clip))
        largest[clip] = max(counted)
    successors = sum(weight.numel() for weight in layers_of(make_model())[:2].parameters())
    assert largest["trained"] <= successors < largest["all"]


def test_successors_start_from_the_model_that_was_said(make_model, make_context):
    pretrained, model = make_model(seed=5), make_model(seed=1)
    step = replacement(init="pretrained", remove="first", learning_rate=1e-12)
    context = make_context(pretrained=lambda: pretrained)
    trained = step.run(State(model=model), context).model
    expected = vector(layers_of(pretrained)[1:].parameters())
    torch.testing.assert_close(vector(layers_of(trained).parameters()), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("init", ["pretrained", "predecessor"])
def test_a_sparse_predecessor_may_have_successors_without_its_zeros(make_model, make_context, init):
    """Its zeros lie in a layer that none of them comes from."""
    model = make_model(seed=1)
    name = "encoder.layer.0.output.dense.weight"
    with torch.no_grad():
        model.base_model.get_parameter(name)[:4] = 0
    declare_fixed_zeros(model, [name])
    assert declared_patterns(model.config) == (name,)
    step = replacement(init=init, remove="first")
    trained = step.run(State(model=model), make_context(pretrained=lambda: make_model(seed=5))).model
    assert declared_patterns(trained.config) == ()


def test_mixes_are_scored_without_further_training(make_model, make_context):
    """The mix of none is the predecessor, that of all the result; the record names each."""
    model, context = make_model(), make_context()
    dense = context.scores(model)
    state = replacement(mixes=[[], [0], [0, 1]]).run(State(model=model), context)
    found = {tuple(mix["replaced"]): mix["scores"] for mix in state.details["mixes"]}
    assert list(found) == [(), (0,), (0, 1)]
    assert found[()] == dense
    assert found[0, 1] == context.scores(state.model)


def test_same_seed_same_weights(make_model, make_context):
    vectors = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        state = replacement().run(State(model=make_model()), make_context(seed=seed, name=name))
        vectors.append(vector(state.model.parameters()))
    assert vectors[0].equal(vectors[1])
    assert not vectors[0].equal(vectors[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modules": 3}, "modules=3: must be from 1 to 2, the number of successor layers"),
        (
            {"distillation": PatientDistillation(temperature=1, alpha=0.5, beta=1, layers="last")},
            r"distillation\.loss\.layers=last: [^\n]+",
        ),
        ({"modules": 0}, "modules=0: must be from 1 to 2, the number of successor layers"),
        ({"mixes": [[0], [2]]}, r"mixes=\[2\]: the modules are 0 to 1; name only these"),
        ({"amount": LayerAmount(layers=4)}, "layers=4: the model has only 3; give at most as many"),
    ],
)
def test_refuses_what_the_model_has_no_layers_for(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        replacement(**settings).check(heads=[4] * 3, units=[48] * 3)


def test_refuses_a_schedule_longer_than_the_phase_before_anything_is_trained(make_context):
    """It takes the number of training examples, and nothing that a predecessor has to be trained for."""
    with pytest.raises(SecateurError, match=r"^replacing_steps=1000: the phase has \d+ optimizer steps, [^\n]*$"):
        replacement(steps=1000).check_data(make_context().data, processes=1)


def test_a_schedule_that_does_not_fit_is_told_before_a_predecessor_is_trained(tmp_path):
    with pytest.raises(SecateurError, match=r"^method\.replacing_steps=1000: the phase has \d+ optimizer steps"):
        run("method=theseus", "sparsity=0.33", "method.replacing_steps=1000", output=tmp_path)
    assert not (tmp_path / "store" / "predecessors").exists()


@pytest.mark.parametrize("method", ["theseus", "layerdrop"])
def test_outputs_are_imitated_too(method, tmp_path):
    """distillation=logits serves every method."""
    chosen = (f"method={method}", "sparsity=0.33", "model.epochs=1")
    plain, imitating = (run(*chosen, f"distillation={kind}", output=tmp_path)[0] for kind in ("none", "logits"))
    assert plain.compressed.scores != imitating.compressed.scores
