"""An anatomy's paths lead where they say, and what has none is refused by name."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering, PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure import anatomy
from secateur.structure.anatomy import ANATOMIES, anatomy_of, head_size_of, layers_of, max_positions_of
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.surgery import shrink, structure_sizes

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "initializer_range": 0.2,
}


@pytest.mark.parametrize("model_type", sorted(ANATOMIES))
def test_paths_lead_to_what_they_name(model_type):
    """Widths tell the projections apart: into the heads, out of them, into the FFN and out of it."""
    model = build(model_type)
    paths = anatomy_of(model.config)
    ids = torch.arange(6)[None]
    assert len(layers_of(model)) == 2
    assert model.base_model.get_submodule(paths.embeddings)(input_ids=ids).shape == (1, 6, 16)
    for layer in layers_of(model):
        for name in ("query", "key", "value", "attention_output"):
            assert layer.get_submodule(getattr(paths, name)).weight.shape == (16, 16)
        assert layer.get_submodule(paths.up).weight.shape == (24, 16)
        assert layer.get_submodule(paths.down).weight.shape == (16, 24)
        attention = layer.get_submodule(paths.attention)
        assert layer.get_submodule(paths.query) in attention.modules()
        assert layer.get_submodule(paths.attention_output) not in attention.modules()


@pytest.mark.parametrize("model_type", sorted(ANATOMIES))
def test_the_longest_sequence_runs_and_one_longer_does_not(model_type):
    model = build(model_type)
    longest = max_positions_of(model.config)
    model(input_ids=torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 5))


def test_unsupported_architectures_are_refused_with_those_that_are():
    with pytest.raises(
        SecateurError, match=r"^model_type='gpt2' is not supported; supported architectures: bert\b[^\n]*$"
    ):
        anatomy_of(AutoConfig.for_model("gpt2"))


def test_head_size_stays_what_it_was_when_heads_go():
    model = shrink(
        build("bert"),
        PerGate(heads=(torch.tensor([1.0, 0, 0, 1]), torch.zeros(4)), units=(torch.ones(24),) * 2),
    )
    assert head_size_of(model.config) == 4
    assert structure_sizes(model) == ([2, 0], [24, 24])


@pytest.mark.parametrize(("model_type", "position_offset"), [("electra", 0), ("roberta", 2)])
def test_one_entry_adds_an_architecture(monkeypatch, model_type, position_offset):
    """With it alone, a model is gated and cut, exactly, and its length is known."""
    if model_type not in ANATOMIES:
        entry = dataclasses.replace(ANATOMIES["bert"], position_offset=position_offset)
        monkeypatch.setitem(anatomy.ANATOMIES, model_type, entry)
    model = build(model_type)
    assert max_positions_of(model.config) == 20 - position_offset
    gates = PerGate(
        heads=(torch.tensor([0.0, 1, 1, 0]), torch.ones(4)), units=(torch.ones(24), (torch.arange(24) % 3 == 0).float())
    )
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        with gated(model, gates):
            expected = model(input_ids=ids).start_logits
        found = shrink(model, gates)(input_ids=ids).start_logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def build(model_type: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForQuestionAnswering.from_config(AutoConfig.for_model(model_type, **SIZES)).eval()
