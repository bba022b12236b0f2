"""Pictures of zeros show the figures they are given, each in its place."""

from __future__ import annotations

import pytest
import torch

from secateur.analysis.zero_pictures import LARGEST, draw_masks, draw_sparsity, draw_spread, pictures_of_zeros
from secateur.analysis.zeros import PROJECTIONS, matrices_of, zeros_of
from secateur.errors import SecateurError
from tests.architectures import random_model


def stripes(every: int) -> torch.Tensor:
    weight = torch.ones(8, 8)
    weight[:, ::every] = 0
    return weight


ZEROS = {"Q": [zeros_of(stripes(2)), zeros_of(stripes(4))], "K": [zeros_of(torch.ones(0, 8)), zeros_of(stripes(8).T)]}


def test_the_heatmap_has_layers_down_and_projections_across() -> None:
    (axes,) = draw_sparsity(ZEROS, title="t").axes
    assert [text.get_text() for text in axes.texts] == ["0.50", "-", "0.25", "0.12"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Q", "K"]
    assert axes.yaxis_inverted()


def test_masks_are_dark_where_a_weight_is_zero() -> None:
    weight = torch.ones(4, 8)
    weight[1, 6] = 0
    matrices = dict.fromkeys(PROJECTIONS, weight) | {"O": torch.ones(8, 0)}
    figure = draw_masks(matrices, layer=2, title="$t")
    by_name = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(by_name)[:4] == ["Q: 4 x 8", "K: 4 x 8", "V: 4 x 8", "O: 8 x 0"]
    (image,) = by_name["Q: 4 x 8"].images
    assert image.get_array().tolist() == (weight == 0).float().tolist()
    assert image.get_cmap()(1.0)[0] < image.get_cmap()(0.0)[0]
    assert not by_name["O: 8 x 0"].images
    assert figure.get_suptitle() == "layer 2 - $t"
    figure.canvas.draw()  # type: ignore[attr-defined]


def test_large_masks_are_shown_in_blocks_under_the_places_they_have() -> None:
    matrices = {name: torch.zeros(2 * LARGEST, LARGEST) for name in PROJECTIONS}
    image = draw_masks(matrices, layer=0, title="t").axes[0].images[0]
    assert image.get_array().shape == (LARGEST, LARGEST // 2)
    assert tuple(image.get_extent()) == (0, LARGEST, 2 * LARGEST, 0)


def test_spread_is_a_line_for_each_projection_beside_the_random_mask() -> None:
    columns, rows = draw_spread(ZEROS, title="t").axes
    assert [axes.get_title(loc="left") for axes in (columns, rows)] == ["over columns", "over rows"]
    level, query, key = columns.lines
    assert (level.get_label(), list(level.get_ydata())) == ("random mask", [1, 1])
    assert (query.get_label(), list(query.get_ydata())) == ("Q", [each.columns.ratio for each in ZEROS["Q"]])
    assert key.get_ydata()[1] == 0
    assert rows.lines[2].get_ydata()[1] == ZEROS["K"][1].rows.ratio > 1


def test_the_middle_layer_is_shown_unless_said_otherwise() -> None:
    model = random_model("bert")
    shown = dict(pictures_of_zeros(model, title="t"))
    assert sorted(shown) == ["masks", "spread", "zeros"]
    assert shown["masks"].get_suptitle() == "layer 1 - t"
    last = dict(pictures_of_zeros(model, layer=2, title="t"))["masks"]
    assert last.get_suptitle() == "layer 2 - t"
    assert last.axes[4].images[0].get_array().shape == matrices_of(model, 2)["FFN up"].shape
    with pytest.raises(SecateurError, match=r"^layer=3: "):
        dict(pictures_of_zeros(model, layer=3, title="t"))
