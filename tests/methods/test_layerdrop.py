"""LayerDrop drops entire layers per batch, only in training, and returns the model with all its layers."""

import pytest
from torch import nn

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.layerdrop import LayerDrop, LayerDropTraining
from secateur.methods.shared_draws import SharedDraws
from secateur.structure.anatomy import layers_of
from tests.methods.test_finetune import SETTINGS


@pytest.fixture
def drawn(monkeypatch):
    """What was dropped from each training batch."""
    seen = []
    plain = LayerDropTraining.on_train_batch_start

    def watched(module, batch, batch_idx):
        plain(module, batch, batch_idx)
        seen.append(tuple(module.dropped))

    monkeypatch.setattr(LayerDropTraining, "on_train_batch_start", watched)
    return seen


def test_about_that_many_layers_drop_out(make_model, make_context, drawn):
    LayerDrop(**{**SETTINGS, "epochs": 12}, p=0.3).run(State(model=make_model()), make_context())
    flat = [dropped for batch in drawn for dropped in batch]
    assert len(flat) > 150
    assert sum(flat) / len(flat) == pytest.approx(0.3, abs=0.1)
    assert len(set(drawn)) > 3  # each layer by a draw of its own


@pytest.mark.parametrize("unit", ["layer", "attention", "ffn"])
def test_the_model_comes_back_whole_and_trained(make_model, make_context, unit):
    model = make_model()
    own, before = list(layers_of(model)), [weight.detach().clone() for weight in model.parameters()]
    state = LayerDrop(**SETTINGS, p=0.5, unit=unit).run(State(model=model), make_context())
    assert list(layers_of(state.model)) == own
    assert not state.model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert sum(not weight.equal(old) for weight, old in zip(model.parameters(), before, strict=True)) > 40


def test_nothing_drops_out_at_0_and_all_at_1(make_model, make_context):
    """With every layer gone only embeddings and head learn."""
    for p in (0, 1):
        model = make_model()
        before = [weight.detach().clone() for weight in layers_of(model).parameters()]
        LayerDrop(**SETTINGS, p=p).run(State(model=model), make_context(name=str(p)))
        same = [weight.equal(old) for weight, old in zip(layers_of(model).parameters(), before, strict=True)]
        assert all(same) if p == 1 else not any(same)


def test_warns_that_no_layer_is_trained(caplog):
    LayerDrop(**SETTINGS, p=0.9)
    assert not caplog.messages
    LayerDrop(**SETTINGS, p=1)
    assert "only the embeddings and the head are trained" in caplog.text


def test_a_layer_that_dropped_out_takes_no_step(make_model, make_context, monkeypatch):
    """Not by the momentum of the batch that ran it, nor by weight decay."""
    model, after_first = make_model(), []

    def draws(_, count):
        after_first.append(nn.utils.parameters_to_vector(layers_of(model)[1].parameters()).detach().clone())
        return [0.9, 0.9 if len(after_first) == 1 else 0.1, 0.9]

    monkeypatch.setattr(SharedDraws, "next", draws)
    settings = {**SETTINGS, "weight_decay": 0.5, "warmup_ratio": 0.0, "batch_size": 8}
    LayerDrop(**settings, p=0.5).run(State(model=model), make_context())
    assert len(after_first) > 3
    assert not after_first[1].equal(after_first[0])
    assert nn.utils.parameters_to_vector(layers_of(model)[1].parameters()).detach().equal(after_first[1])


def test_the_pretrained_model_can_be_trained_instead(make_model, make_context):
    pretrained = make_model(seed=5)
    step = LayerDrop(**SETTINGS, p=0.5, init="pretrained")
    assert step.needs_pretrained
    assert step.run(State(model=make_model(seed=1)), make_context(pretrained=lambda: pretrained)).model is pretrained


def test_validation_runs_all_layers(make_model, make_context, monkeypatch):
    ran = []
    plain = LayerDropTraining.validation_step

    def watched(module, batch):
        ran.append([module.skips(layer) for layer in range(3)])
        plain(module, batch)

    monkeypatch.setattr(LayerDropTraining, "validation_step", watched)
    LayerDrop(**SETTINGS, p=1).run(State(model=make_model()), make_context())
    assert ran
    assert not any(map(any, ran))


def test_same_seed_same_weights(make_model, make_context):
    vectors = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        model = LayerDrop(**SETTINGS, p=0.5).run(State(model=make_model()), make_context(seed=seed, name=name)).model
        vectors.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    assert vectors[0].equal(vectors[1])
    assert not vectors[0].equal(vectors[2])


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_refuses_what_is_no_probability(p):
    with pytest.raises(SecateurError, match=rf"^p={p}: must lie in \[0, 1\]: it is the probability that [a-z ]+$"):
        LayerDrop(**SETTINGS, p=p)
