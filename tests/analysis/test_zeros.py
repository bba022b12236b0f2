"""Statistics of zeros match the matrices, and a random mask's spread matches that of sampled masks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from secateur.analysis.zeros import (
    NOTHING,
    PROJECTIONS,
    block_means,
    check_sparse,
    matrices_of,
    over_layers,
    random_spread,
    zeros_by_projection,
    zeros_of,
)
from secateur.errors import SecateurError
from secateur.methods.ranking import Amount, Matrices, zero_out
from secateur.structure.anatomy import anatomy_of, layers_of
from tests.architectures import ALL_ARCHITECTURES, random_model


def column_wise(rows: int, columns: int) -> Tensor:
    """Every second column is zero."""
    weight = torch.ones(rows, columns)
    weight[:, ::2] = 0
    return weight


def test_zeros_in_whole_columns_spread_over_columns_and_not_over_rows() -> None:
    """Rows are outputs: a picture of columns and a figure of rows would contradict each other."""
    zeros = zeros_of(column_wise(8, 20))
    assert zeros.fraction == 0.5
    assert (zeros.columns.found, zeros.rows.found) == (0.5, 0.0)
    assert zeros.columns.ratio > 2.5
    transposed = zeros_of(column_wise(8, 20).T)
    assert (transposed.columns, transposed.rows) == (zeros.rows, zeros.columns)


@pytest.mark.parametrize("shape", [(6, 50), (50, 6), (40, 40)])
def test_the_spread_of_a_random_mask_is_what_drawing_many_gives(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    rows, columns = shape
    zeros = round(0.3 * rows * columns)
    variances = []
    for _ in range(300):
        mask = torch.ones(rows * columns)
        mask[torch.randperm(rows * columns)[:zeros]] = 0
        variances.append(zeros_of(mask.view(shape)).columns.found ** 2)
    expected = random_spread(0.3, lines=columns, length=rows)
    assert math.sqrt(sum(variances) / len(variances)) == pytest.approx(expected, rel=0.03)
    assert zeros_of(mask.view(shape)).columns.random == pytest.approx(expected)


@pytest.mark.parametrize("weight", [torch.ones(4, 4), torch.zeros(4, 4), torch.ones(1, 1)])
def test_where_there_is_no_choice_there_is_no_ratio(weight: Tensor) -> None:
    zeros = zeros_of(weight)
    assert zeros.columns.found == zeros.columns.random == 0
    assert math.isnan(zeros.columns.ratio)


@pytest.mark.parametrize("architecture", ALL_ARCHITECTURES)
def test_projections_have_their_names(architecture: str) -> None:
    """Also XLNet's, of which a fine-tuned sparse model keeps zeros."""
    model = random_model(architecture)
    anatomy = anatomy_of(model.config)
    with torch.no_grad():
        layers_of(model)[1].get_parameter(anatomy.matrices[anatomy.key])[:, ::2] = 0
        layers_of(model)[2].get_parameter(anatomy.matrices[anatomy.down]).zero_()
    zeros = zeros_by_projection(model)
    assert tuple(zeros) == PROJECTIONS
    assert [each.fraction for each in zeros["K"]] == [0, 0.5, 0]
    assert [each.fraction for each in zeros["FFN down"]] == [0, 0, 1]
    assert sum(each.fraction for layers in zeros.values() for each in layers) == 1.5
    assert matrices_of(model, 0)["FFN up"].shape == (24, 32)


def test_a_matrix_that_lost_everything_has_no_figures_and_does_not_count() -> None:
    """A sparse model that lost all heads of a layer, too."""
    gone, left = zeros_of(torch.ones(0, 8)), zeros_of(column_wise(8, 8))
    assert gone is NOTHING
    assert over_layers([gone, left]) == left
    assert over_layers([gone]) is NOTHING


def test_over_layers_all_figures_are_means() -> None:
    mean = over_layers([zeros_of(column_wise(8, 8)), zeros_of(torch.ones(8, 8))])
    assert (mean.fraction, mean.columns.found, mean.rows.found) == (0.25, 0.25, 0.0)


def test_blocks_hold_the_fraction_of_zeros_also_at_the_edge() -> None:
    weight = torch.ones(5, 4)
    weight[:2, :2] = 0
    weight[4, 3] = 0
    assert block_means(weight, largest=3).tolist() == [[1, 0], [0, 0], [0, 0.5]]
    assert torch.equal(block_means(weight, largest=5), (weight == 0).float())


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(SecateurError, match=rf"^layer={layer}: the model has no such layer; give one from 0 to 2$"):
        matrices_of(random_model("bert"), layer)


def test_a_model_without_fixed_zeros_is_refused_whatever_zeros_it_holds_by_chance() -> None:
    model = random_model("bert")
    with torch.no_grad():
        matrices_of(model, 0)["Q"][0, 0] = 0
    with pytest.raises(SecateurError, match=r"^here: its model has no fixed zeros; give a run of "):
        check_sparse(model, name="here")
    matrices = Matrices(model)
    zero_out(model, matrices, Amount(sparsity=0.5).masks(matrices.weights, seed=1))
    check_sparse(model, name="here")
