"""How the zeros of a sparse model lie: how many in each matrix, and how unevenly over its columns and rows.

Rows of a matrix are outputs and columns inputs, as PyTorch stores them; TensorFlow's kernels lie the other way round.

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

PROJECTIONS = ("Q", "K", "V", "O", "FFN up", "FFN down")  # in the order of the anatomy's


class Spread(NamedTuple):
    """How far fractions of zeros lie apart: their standard deviation, and the one that random masks have.

    A mask with as many zeros anywhere has spread, too: that is by chance, and what counts is the ratio of the two.
    """

    found: float
    random: float

    @property
    def ratio(self) -> float:
        """1 where zeros lie as if drawn; NaN where a matrix leaves no choice, as without zeros."""
        return self.found / self.random if self.random > 0 else math.nan


class Zeros(NamedTuple):
    """The zeros of one matrix: the fraction, in [0, 1], and how it differs from column to column and row to row.

    A matrix that lost everything is ``NOTHING``: all are NaN.
    """

    fraction: float
    columns: Spread
    rows: Spread


NOTHING = Zeros(math.nan, Spread(math.nan, math.nan), Spread(math.nan, math.nan))


def zeros_by_projection(model: PreTrainedModel) -> dict[str, list[Zeros]]:
    """The zeros of the encoder's matrices, layer by layer, by the names in ``PROJECTIONS``."""
    layers = _matrices(model)
    return {name: [zeros_of(layer[name]) for layer in layers] for name in PROJECTIONS}


def matrices_of(model: PreTrainedModel, layer: int) -> dict[str, Tensor]:
    """The matrices of one layer, (O, I), by the names in ``PROJECTIONS``.

    Args:
        layer: from 0.

    Raises:
        SecateurError: if the model has no such layer.
    """
    layers = _matrices(model)
    if not 0 <= layer < len(layers):
        raise SecateurError(f"layer={layer}: the model has none; give one of 0 to {len(layers) - 1}")
    return layers[layer]


def check_sparse(model: PreTrainedModel, *, name: str) -> None:
    """Refuse a model that declares no zeros: those that it holds by chance have no pattern.

    Raises:
        SecateurError: naming what was asked for by ``name``.
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
    """The standard deviation of the fractions of zeros in the lines of a matrix, if its zeros lay anywhere.

    The number of zeros in a line is hypergeometric then; this is the root of the expected variance.

    Args:
        fraction: of zeros in the matrix, in [0, 1].
        lines: columns or rows.
        length: entries of one line.
    """
    drawn_apart = (lines * length - length) / max(1, lines * length - 1)
    return math.sqrt(fraction * (1 - fraction) / length * drawn_apart)


def over_layers(layers: Sequence[Zeros]) -> Zeros:
    """The means over the layers whose matrix has anything left."""
    left = [zeros for zeros in layers if not math.isnan(zeros.fraction)]
    if not left:
        return NOTHING
    columns, rows = (
        Spread(*(fmean(values) for values in zip(*spreads, strict=True)))
        for spreads in ([zeros.columns for zeros in left], [zeros.rows for zeros in left])
    )
    return Zeros(fmean(zeros.fraction for zeros in left), columns, rows)


def block_means(weight_OI: Tensor, *, largest: int) -> Tensor:
    """The fraction of zeros in square blocks of a matrix, so that neither side has more than ``largest`` of them.

    Blocks at the end are narrower where the sides are no multiples.
    """
    zero_OI = (weight_OI == 0).float()
    side = math.ceil(max(zero_OI.shape) / largest)
    return functional.avg_pool2d(zero_OI[None, None], side, ceil_mode=True)[0, 0]


def _deviation(fractions: Tensor) -> float:
    return float(fractions.std(correction=0))


def _matrices(model: PreTrainedModel) -> list[dict[str, Tensor]]:
    """The six of each layer, (O, I); XLNet's, which have heads for a dimension of their own, are laid flat."""
    anatomy = anatomy_of(model.config)
    names = dict(zip(PROJECTIONS, (anatomy.matrices[path] for path in anatomy.projections), strict=True))
    return [
        {name: layer.get_parameter(parameter).detach().flatten(1) for name, parameter in names.items()}
        for layer in layers_of(model)
    ]
