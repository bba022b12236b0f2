"""A model's shape: the sizes read from its config before loading equal those of its modules."""

from __future__ import annotations

import pytest

from secateur.structure.decomposition import decompose
from secateur.structure.shape import planned_sizes, segments_of, structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ARCHITECTURES


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_model_is_built_in_the_shape_that_its_configuration_plans(make_model, uneven_gates, model_type):
    model = make_model(model_type=model_type)
    assert planned_sizes(model.config) == structure_sizes(model) == ([4, 4, 4], [24, 24, 24])
    shrink(model, uneven_gates)
    assert planned_sizes(model.config) == structure_sizes(model) == ([0, 3, 1], [12, 0, 5])


def test_the_way_a_model_reads_outlasts_surgery(make_model, uneven_gates):
    model = make_model(model_type="bert")
    assert segments_of(model.config) is None
    decompose(model, lower_layers=2, question_slot=8)
    segments = segments_of(model.config)
    assert segments is not None
    assert (segments["lower_layers"], segments["question_slot"]) == (2, 8)
    assert segments_of(shrink(model, uneven_gates).config) == segments
