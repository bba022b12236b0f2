"""Layer outputs are read without changing them, also if a wrapper replaces a layer."""

import pytest
import torch

from secateur.structure.anatomy import layers_of
from secateur.structure.decomposition import decompose, encode
from secateur.structure.depth import skippable
from secateur.structure.observing import layer_outputs
from tests.architectures import ALL_ARCHITECTURES


@pytest.mark.parametrize("model_type", ALL_ARCHITECTURES)
def test_the_last_output_is_what_the_head_reads(make_model, batch, model_type):
    model = make_model(model_type=model_type)
    with torch.no_grad(), layer_outputs(model) as outputs:
        logits = model(**batch)
    assert len(outputs) == 3
    assert torch.allclose(model.qa_outputs(outputs[-1])[..., 0], logits.start_logits, atol=1e-6)
    assert not any(layer._forward_hooks for layer in layers_of(model))


def test_a_skipped_layer_hands_its_input_on(make_model, batch):
    model = make_model()
    with torch.no_grad(), skippable(model, lambda layer: layer == 1, unit="layer"), layer_outputs(model) as outputs:
        model(**batch)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])


@pytest.mark.parametrize("model_type", ["bert", "xlnet"])
def test_of_segments_that_go_apart_one_output_of_each_layer_is_read(make_model, model_type):
    """Question and document joined, as the layers above have them."""
    model = decompose(make_model(model_type=model_type), lower_layers=2, question_slot=6)
    ids = torch.arange(1, 19).view(2, 9)
    with torch.no_grad(), layer_outputs(model) as states:
        model(ids, question_length=4)
    assert [tuple(each.shape) for each in states] == [(2, 9, 32)] * 3
    assert torch.equal(states[1][:, 4:], encode(model, ids[:, 4:]))
