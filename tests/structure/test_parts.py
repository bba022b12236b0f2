"""Every weight belongs to one part: embeddings, layers or head."""

import pytest

from secateur.structure.anatomy import layers_of
from secateur.structure.parts import parts_of
from tests.architectures import ARCHITECTURES


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_each_weight_stands_in_one_part(make_model, model_type):
    model = make_model(model_type=model_type)
    parts = parts_of(model)
    names = {id(weight): name for name, weight in model.named_parameters()}
    found = [names[id(weight)] for weights in parts.values() for weight in weights]
    assert sorted(found) == sorted(names.values())
    assert all("embeddings" in names[id(weight)] for weight in parts["embeddings"])
    assert len(parts["layers"]) == len(list(layers_of(model).parameters()))
    assert {names[id(weight)].split(".")[0] for weight in parts["head"]} == {"qa_outputs"}
