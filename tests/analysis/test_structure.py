"""The picture of what is left in each layer matches the gates and the model."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from secateur.analysis.structure import Layer, draw_structure, layers_from
from secateur.structure.gates import PerGate


@pytest.fixture
def gates() -> PerGate:
    """Layers that keep 2, 0 and 1 of 3, 3 and 2 heads, and 4, 0 and 3 of 5 units."""
    return PerGate(
        heads=(torch.tensor([1.0, 0, 1]), torch.zeros(3), torch.tensor([0.0, 1])),
        units=(torch.tensor([1.0, 1, 1, 0, 1]), torch.zeros(5), torch.tensor([1.0, 0, 1, 1, 0])),
    )


LAYERS = [
    Layer(heads=(True, False, True), units=4, units_before=5),
    Layer(heads=(False, False, False), units=0, units_before=5),
    Layer(heads=(False, True), units=3, units_before=5),
]


def test_layers_are_what_the_gates_say(gates: PerGate) -> None:
    assert layers_from(gates, units=[4, 0, 3]) == LAYERS


def test_widths_that_surgery_rounded_up_are_those_of_the_model(gates: PerGate) -> None:
    """Else the picture would contradict the record."""
    assert [layer.units for layer in layers_from(gates, units=[4, 0, 4])] == [4, 0, 4]


def test_where_whole_layers_went_too_the_gates_count(gates: PerGate) -> None:
    """A model of fewer layers must not end its run in an error, nor be shown against the wrong layers."""
    assert layers_from(gates, units=[4, 3]) == LAYERS


def test_heads_are_a_grid_with_layers_down_and_blanks_where_there_was_none() -> None:
    heads, _ = draw_structure(LAYERS, title="t").axes
    cells = heads.collections[0].get_array()
    assert cells.filled(-1).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, -1]]
    top_is_layer_0 = heads.yaxis_inverted()
    assert top_is_layer_0
    assert [text.get_text() for text in heads.texts] == ["2", "0", "1"]


def test_units_are_bars_of_what_is_kept_over_what_there_was() -> None:
    _, units = draw_structure(LAYERS, title="t").axes
    before, kept = units.containers
    assert [bar.get_width() for bar in before] == [5, 5, 5]
    assert [bar.get_width() for bar in kept] == [4, 0, 3]
    assert [text.get_text() for text in units.texts] == ["4", "0", "3"]


def test_titles_count_and_say_whose_picture_it_is() -> None:
    figure = draw_structure(LAYERS, title="tiny on $toy_qa: gain")
    assert figure.get_suptitle() == "tiny on $toy_qa: gain"
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["heads: 3 of 8", "FFN units: 7 of 15"]


def test_layers_without_anything_from_the_start_can_be_drawn() -> None:
    """A stacked run may begin with layers that lost all their heads and units."""
    figure = draw_structure([Layer(heads=(), units=0, units_before=0)] * 2, title="t")
    figure.canvas.draw()  # type: ignore[attr-defined]
    assert figure.axes[0].get_title(loc="left") == "heads: 0 of 0"


@pytest.mark.parametrize(("layers", "heads"), [(6, 12), (24, 16)])
def test_nothing_is_cut_and_no_labels_overlap(layers: int, heads: int) -> None:
    shape = [Layer(heads=(True,) * heads, units=3072, units_before=3072)] * layers
    figure = draw_structure(shape, title="bert_base on squad_v1: gain + logits, sparsity 0.5")
    figure.canvas.draw()  # type: ignore[attr-defined]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            boxes = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_visible()]
            assert not any(one.overlaps(other) for one, other in pairwise(boxes))
        for text in axes.texts:
            box = text.get_window_extent()
            assert figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1)
            assert not any(other.bbox.overlaps(box) for other in figure.axes)
