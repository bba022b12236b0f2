"""Layers are removed or skipped, completely or in part; skipping computes the same as removal."""

import pytest
import torch
from torch import nn

from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.checkpoint import load, save_model
from secateur.structure.depth import UNITS, keep_layers, keep_units, set_layers, skippable, swapped_layers
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ARCHITECTURES


def answers(model, batch):
    with torch.no_grad():
        return model(**batch).start_logits


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_what_is_skipped_computes_what_is_left_after_removal(make_model, batch, model_type, unit):
    model = make_model(model_type=model_type)
    before = answers(model, batch)
    with skippable(model, lambda layer: layer == 1, unit=unit):
        skipped = answers(model, batch)
    assert torch.equal(answers(model, batch), before)
    keep_units(model, [0, 2], unit=unit)
    torch.testing.assert_close(answers(model, batch), skipped, atol=1e-5, rtol=0)
    assert not torch.allclose(skipped, before, atol=1e-3)


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_skipped_takes_no_gradient(make_model, batch, unit):
    """None, not zero: an optimizer leaves its weights alone, momentum and all."""
    model = make_model().train()
    anatomy, layer = anatomy_of(model.config), layers_of(model)[1]
    with skippable(model, lambda number: number == 1, unit=unit):
        positions = torch.tensor([1, 2])
        model(**batch, start_positions=positions, end_positions=positions).loss.backward()
    attention, ffn = (anatomy.query, anatomy.attention_output), (anatomy.up, anatomy.down)
    for skipped_with, paths in (("attention", attention), ("ffn", ffn)):
        for path in paths:
            assert (layer.get_submodule(path).weight.grad is None) == (unit in {"layer", skipped_with}), path


def test_all_layers_can_be_skipped_at_once(make_model, batch):
    model = make_model()
    with skippable(model, lambda _: True, unit="layer"):
        found = answers(model, batch)
    embedded = model.base_model.embeddings(batch["input_ids"], token_type_ids=batch.get("token_type_ids"))
    assert torch.allclose(found, model.qa_outputs(embedded)[..., 0], atol=1e-5)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_fewer_layers_are_an_ordinary_checkpoint(make_model, batch, model_type, tokenizer, tmp_path):
    """It loads with transformers alone, without the flag: config and layer numbers say what is there."""
    model = make_model(model_type=model_type)
    keep_layers(model, [0, 2])
    assert model.config.num_hidden_layers == len(layers_of(model)) == 2
    numbered = [[m.layer_idx for m in each.modules() if hasattr(m, "layer_idx")] for each in layers_of(model)]
    assert all(number == place for place, numbers in enumerate(numbered) for number in numbers)
    save_model(model, tokenizer, tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.py"))
    stock = type(model).from_pretrained(tmp_path / "model")
    assert torch.equal(answers(stock.eval(), batch), answers(model, batch))


def test_layers_of_different_widths_keep_theirs(make_model, batch, uneven_gates, tokenizer, tmp_path):
    model = shrink(make_model(), uneven_gates)
    heads, units = structure_sizes(model)
    keep_layers(model, [0, 2])
    assert structure_sizes(model) == ([heads[0], heads[2]], [units[0], units[2]])
    save_model(model, tokenizer, tmp_path / "model")
    assert torch.equal(answers(load(tmp_path / "model"), batch), answers(model, batch))


def test_swapped_layers_come_back_whatever_happens(make_model):
    model = make_model()
    own = list(layers_of(model))
    with pytest.raises(KeyboardInterrupt), swapped_layers(model, [nn.Identity()]):
        raise KeyboardInterrupt
    assert list(layers_of(model)) == own


def test_a_model_takes_more_layers_than_it_had(make_model, batch):
    model, other = make_model(), make_model()
    set_layers(model, [*layers_of(model), *layers_of(other)])
    assert model.config.num_hidden_layers == 6
    assert answers(model, batch).isfinite().all()
