"""An anatomy's paths are correct, and unsupported architectures are rejected by name."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig

from secateur.errors import SecateurError
from secateur.structure.anatomy import (
    ANATOMIES,
    anatomy_of,
    check_linear_attention,
    head_size_of,
    layers_of,
    max_positions_of,
    takes_token_types,
)
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ARCHITECTURES, random_model


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_paths_lead_to_what_they_name(model_type):
    """Widths tell the projections apart: into the heads, out of them, into the FFN and out of it."""
    model = random_model(model_type, num_hidden_layers=2)
    paths = anatomy_of(model.config)
    assert len(layers_of(model)) == 2
    for layer in layers_of(model):
        for name in ("query", "key", "value", "attention_output"):
            assert layer.get_submodule(getattr(paths, name)).weight.shape == (32, 32)
        assert layer.get_submodule(paths.up).weight.shape == (24, 32)
        assert layer.get_submodule(paths.down).weight.shape == (32, 24)
        attention = layer.get_submodule(paths.attention)
        assert layer.get_submodule(paths.query) in attention.modules()
        assert (getattr(attention, paths.head_count), getattr(attention, paths.heads_width)) == (4, 32)


def test_xlnets_projections_are_bare_tensors_of_attention_and_linear_modules_of_the_ffn():
    model = random_model("xlnet", num_hidden_layers=2)
    names = anatomy_of(model.config).matrices
    for layer in layers_of(model):
        shapes = [tuple(layer.get_parameter(name).shape) for name in names.values()]
        assert shapes == [(32, 4, 8)] * 4 + [(24, 32), (32, 24)]
    assert structure_sizes(model) == ([4, 4], [24, 24])


def test_xlnet_takes_any_length_and_no_gates():
    model = random_model("xlnet", num_hidden_layers=1)
    assert max_positions_of(model.config) > 10**6
    gates = PerGate(heads=(torch.ones(4),), units=(torch.ones(24),))
    message = r"^gates: does not support model_type=xlnet; use one of bert, camembert, distilbert, [^\n]+, xlm-roberta$"
    for cut in (gated(model, gates).__enter__, lambda: shrink(model, gates)):
        with pytest.raises(SecateurError, match=message):
            cut()
    check_linear_attention(random_model("bert").config, key="gates")


@pytest.mark.parametrize(
    ("model_type", "settings"), [*((name, {}) for name in ARCHITECTURES), ("electra", {"embedding_size": 32})]
)
def test_the_embeddings_output_is_all_that_the_first_layer_sees(model_type, settings):
    """Of the tokens, that is: where it is the same for all sequences, so is everything after it."""
    model = random_model(model_type, **settings)
    embeddings = model.base_model.get_submodule(anatomy_of(model.config).embeddings)
    entering = []
    layers_of(model)[0].register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    with torch.no_grad():
        for ids in (torch.arange(1, 7), torch.arange(7, 13)):
            model(input_ids=ids[None])
        embeddings.register_forward_hook(lambda _, inputs, output: torch.ones_like(output))
        for ids in (torch.arange(1, 7), torch.arange(7, 13)):
            model(input_ids=ids[None])
    assert not torch.equal(entering[0], entering[1])
    assert torch.equal(entering[2], entering[3])


@pytest.mark.parametrize("pad_token_id", [0, 1, 5])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_longest_sequence_runs_and_one_longer_does_not(model_type, pad_token_id):
    """RoBERTa's positions start after the padding token's id, whichever that is."""
    model = random_model(model_type, pad_token_id=pad_token_id)
    longest = max_positions_of(model.config)
    assert longest == (32 - pad_token_id - 1 if "roberta" in model.base_model_prefix else 32)
    model(input_ids=torch.full((1, longest), 9))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 9))


@pytest.mark.parametrize(
    ("model_type", "settings", "expected"),
    [
        ("bert", {}, True),
        ("bert", {"type_vocab_size": 1}, False),
        ("electra", {}, True),
        ("roberta", {"type_vocab_size": 1}, False),
        ("roberta", {"type_vocab_size": 2}, False),  # the default of its config, which no checkpoint has
        ("xlm-roberta", {}, False),
        ("camembert", {}, False),
        ("distilbert", {}, False),
        ("xlnet", {}, True),
    ],
)
def test_token_types_are_for_those_that_learn_them(model_type, settings, expected):
    assert takes_token_types(AutoConfig.for_model(model_type, **settings)) is expected


def test_unsupported_architectures_are_refused_with_those_that_are():
    with pytest.raises(
        SecateurError, match=r"^model_type='gpt2' is not supported; supported architectures: bert\b[^\n]*$"
    ):
        anatomy_of(AutoConfig.for_model("gpt2"))


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_head_size_stays_what_it_was_when_heads_go(model_type):
    model = shrink(
        random_model(model_type, num_hidden_layers=2),
        PerGate(heads=(torch.tensor([1.0, 0, 0, 1]), torch.zeros(4)), units=(torch.ones(24),) * 2),
    )
    assert head_size_of(model.config) == 8
    assert structure_sizes(model) == ([2, 0], [24, 24])


@pytest.mark.parametrize(("model_type", "like", "longest"), [("ernie", "bert", 32), ("data2vec-text", "roberta", 31)])
def test_one_entry_adds_an_architecture(monkeypatch, model_type, like, longest):
    """With it alone, a model is gated and cut, exactly, and its length is known."""
    assert model_type not in ANATOMIES
    monkeypatch.setitem(ANATOMIES, model_type, ANATOMIES[like])
    model = random_model(model_type, num_hidden_layers=2)
    assert max_positions_of(model.config) == longest
    gates = PerGate(
        heads=(torch.tensor([0.0, 1, 1, 0]), torch.ones(4)), units=(torch.ones(24), (torch.arange(24) % 3 == 0).float())
    )
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        with gated(model, gates):
            expected = model(input_ids=ids).start_logits
        found = shrink(model, gates)(input_ids=ids).start_logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
