"""Pictures of where a sparse model's zeros are: in which matrices, at which positions, in which columns and rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from transformers import PreTrainedModel

from secateur.analysis.zeros import Zeros, block_means, matrices_of, zeros_by_projection
from secateur.drawing import COLOURS, FAINT, INK, MARKERS, SMALL, new_figure, set_heading, set_title, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = 384  # maximum blocks along a side: as many as a picture has points for
_CELL_INCHES = 0.75
_LEGIBLE = 0.5  # above this fraction, the cells of the heatmap are so dark that their text is white


def pictures_of_zeros(model: PreTrainedModel, *, layer: int | None = None, title: str) -> Iterator[tuple[str, Figure]]:
    """All pictures, by the names of their files.

    Args:
        model: the sparse model.
        layer: the index, from 0, of the layer whose matrices are shown; None: the middle one.
        title: the pictures' title.

    Raises:
        SecateurError: if the model has no such layer.
    """
    zeros = zeros_by_projection(model)
    layer = len(zeros["Q"]) // 2 if layer is None else layer
    yield "masks", draw_masks(matrices_of(model, layer), layer=layer, title=title)
    yield "zeros", draw_sparsity(zeros, title=title)
    yield "spread", draw_spread(zeros, title=title)


def draw_sparsity(zeros: Mapping[str, Sequence[Zeros]], *, title: str) -> Figure:
    """The fraction of zeros in each matrix: projections across, and layers, numbered from 0, down."""
    layers = len(next(iter(zeros.values())))
    figure = new_figure(len(zeros) * _CELL_INCHES + 1.6, layers * 0.3 + 1.3)
    axes = figure.add_subplot()
    cells = [[zeros[name][layer].fraction for name in zeros] for layer in range(layers)]
    axes.imshow(cells, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, fractions in enumerate(cells):
        for column, fraction in enumerate(fractions):
            text = "-" if math.isnan(fraction) else f"{fraction:.2f}"
            colour = "white" if fraction > _LEGIBLE else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)
    axes.set_xticks(range(len(zeros)), list(zeros))
    axes.set_yticks(range(layers))
    axes.set_ylabel("layer", color=INK)
    axes.tick_params(length=0, labelsize=SMALL)
    axes.spines[:].set_visible(False)
    set_heading(figure, f"fraction of zeros - {title}")
    return figure


def draw_masks(matrices: Mapping[str, Tensor], *, layer: int, title: str) -> Figure:
    """Where the zeros in one layer's matrices are: dark is zero, rows (outputs) down and columns (inputs) across.

    Matrices of more than ``LARGEST`` rows or columns are shown by the fraction of zeros in square blocks.
    """
    figure = new_figure(10.0, 7.2)
    images = {name: block_means(weight, largest=LARGEST) for name, weight in matrices.items() if weight.numel()}
    # One scale for all, from the smallest to the largest fraction: averages over blocks are close to each other, and
    # would all look grey on a scale from 0 to 1.
    low = min((float(image.min()) for image in images.values()), default=0.0)
    high = max((float(image.max()) for image in images.values()), default=1.0)
    grid = figure.subplots(2, 3)
    for axes, (name, weight) in zip(grid.flat, matrices.items(), strict=True):
        rows, columns = weight.shape
        set_title(axes, f"{name}: {rows} x {columns}")
        axes.tick_params(labelsize=SMALL, color=FAINT)
        if name in images:
            shown = axes.imshow(
                images[name].cpu().numpy(),
                cmap="Greys",
                vmin=low,
                vmax=high,
                extent=(0, columns, rows, 0),
                interpolation="nearest",
            )
    if images:
        figure.colorbar(shown, ax=grid, shrink=0.6, label="fraction of zeros")
    set_heading(figure, f"layer {layer} - {title}")
    return figure


def draw_spread(zeros: Mapping[str, Sequence[Zeros]], *, title: str) -> Figure:
    """How unevenly zeros are spread over columns and rows, relative to a random mask: a line for each projection."""
    figure = new_figure(10.0, 4.4)
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("columns", "rows"), strict=True):
        _draw_ratios(axes, {name: [getattr(each, kind).ratio for each in of] for name, of in zeros.items()})
        set_title(axes, f"over {kind}")
    figure.axes[0].set_ylabel("times the spread of a random mask", color=INK)
    figure.axes[0].set_ylim(bottom=0)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=SMALL)
    set_heading(figure, f"spread of zeros - {title}")
    return figure


def _draw_ratios(axes: Axes, ratios: Mapping[str, Sequence[float]]) -> None:
    axes.axhline(1, color=INK, lw=1.2, ls=(0, (4, 2)), label="random mask")
    for place, (name, values) in enumerate(ratios.items()):
        axes.plot(range(len(values)), values, color=COLOURS[place], marker=MARKERS[place], ms=6, label=name)
    layers = max(map(len, ratios.values()))
    axes.set_xticks(range(0, layers, 1 + layers // 13))
    axes.set_xlabel("layer", color=INK)
    style_axes(axes)
