"""The distribution of a sparse model's zeros: how many are in each matrix, and how uneven its columns and rows are.

Rows of a matrix are outputs and columns inputs, as PyTorch stores them; TensorFlow's kernels are transposed.

Shapes: O rows, I columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.fixed_zeros import declared_patterns

PROJECTIONS = ("Q", "K", "V", "O", "FFN up", "FFN down")  # in the anatomy's order


class Spread(NamedTuple):
    """The spread of fractions of zeros: their standard deviation, and that of random masks.

    A random mask with as many zeros has some spread by chance, so what matters is the ratio of the two.
    """

    found: float
    random: float

    @property
    def ratio(self) -> float:
        """1 if zeros are placed as at random; NaN if a matrix allows only one placement, such as one without zeros."""
        return self.found / self.random if self.random > 0 else math.nan


class Zeros(NamedTuple):
    """The zeros of one matrix: their fraction, in [0, 1], and its spread over columns and over rows.

    A matrix that was removed entirely is ``NOTHING``: all values are NaN.
    """

    fraction: float
    columns: Spread
    rows: Spread


NOTHING = Zeros(math.nan, Spread(math.nan, math.nan), Spread(math.nan, math.nan))


def zeros_by_projection(model: PreTrainedModel) -> dict[str, list[Zeros]]:
    """The zeros of the encoder's matrices, a list over layers for each name in ``PROJECTIONS``."""
    layers = _matrices(model)
    return {name: [zeros_of(layer[name]) for layer in layers] for name in PROJECTIONS}


def matrices_of(model: PreTrainedModel, layer: int) -> dict[str, Tensor]:
    """The matrices of one layer, (O, I), by the names in ``PROJECTIONS``.

    Args:
        model: the model to read.
        layer: the index of the layer, from 0.

    Raises:
        SecateurError: if the model has no such layer.
    """
    layers = _matrices(model)
    if not 0 <= layer < len(layers):
        raise SecateurError(f"layer={layer}: the model has no such layer; give one from 0 to {len(layers) - 1}")
    return layers[layer]


def check_sparse(model: PreTrainedModel, *, name: str) -> None:
    """Refuse a model that declares no fixed zeros: those that it has by chance have no pattern.

    Raises:
        SecateurError: starting with ``name``, which identifies the model to the user.
    """
    if not declared_patterns(model.config):
        raise SecateurError(f"{name}: its model has no fixed zeros; give a run of method rpp, nip or magnitude")


def zeros_of(weight_OI: Tensor) -> Zeros:
    """The fraction of zeros in a matrix, and its spread over columns and rows."""
    rows, columns = weight_OI.shape
    if weight_OI.numel() == 0:
        return NOTHING
    zero_OI = (weight_OI == 0).to(torch.float64)
    fraction = float(zero_OI.mean())
    return Zeros(
        fraction,
        columns=Spread(_deviation(zero_OI.mean(dim=0)), random_spread(fraction, lines=columns, length=rows)),
        rows=Spread(_deviation(zero_OI.mean(dim=1)), random_spread(fraction, lines=rows, length=columns)),
    )


def random_spread(fraction: float, *, lines: int, length: int) -> float:
    """The standard deviation of the fractions of zeros in the lines of a matrix whose zeros are placed at random.

    The number of zeros in a line is then hypergeometric; this is the square root of the expected variance.

    Args:
        fraction: the fraction of zeros in the matrix, in [0, 1].
        lines: the number of columns or rows.
        length: the number of entries in one line.
    """
    drawn_apart = (lines * length - length) / max(1, lines * length - 1)
    return math.sqrt(fraction * (1 - fraction) / length * drawn_apart)


def over_layers(layers: Sequence[Zeros]) -> Zeros:
    """The means over the layers whose matrix is not empty."""
    left = [zeros for zeros in layers if not math.isnan(zeros.fraction)]
    if not left:
        return NOTHING
    columns, rows = (
        Spread(*(fmean(values) for values in zip(*spreads, strict=True)))
        for spreads in ([zeros.columns for zeros in left], [zeros.rows for zeros in left])
    )
    return Zeros(fmean(zeros.fraction for zeros in left), columns, rows)


def block_means(weight_OI: Tensor, *, largest: int) -> Tensor:
    """The fraction of zeros in square blocks of a matrix, with at most ``largest`` blocks along each side.

    The last blocks are narrower if a side is not a multiple of the block size.
    """
    zero_OI = (weight_OI == 0).float()
    side = math.ceil(max(zero_OI.shape) / largest)
    return functional.avg_pool2d(zero_OI[None, None], side, ceil_mode=True)[0, 0]


def _deviation(fractions: Tensor) -> float:
    return float(fractions.std(correction=0))


def _matrices(model: PreTrainedModel) -> list[dict[str, Tensor]]:
    """The six matrices of each layer, (O, I); XLNet's, which have a separate dimension for heads, are flattened."""
    anatomy = anatomy_of(model.config)
    names = dict(zip(PROJECTIONS, (anatomy.matrices[path] for path in anatomy.projections), strict=True))
    return [
        {name: layer.get_parameter(parameter).detach().flatten(1) for name, parameter in names.items()}
        for layer in layers_of(model)
    ]
