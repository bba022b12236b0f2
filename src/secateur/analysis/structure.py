"""Which heads, and how many FFN units, are left in each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from secateur.drawing import COLOURS, INK, PALE, SMALL, new_figure, set_heading, set_title
from secateur.structure.gates import PerGate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEPT = COLOURS[0]
_CELL_INCHES = 0.3
_BARS_INCHES = 3.4


class Layer(NamedTuple):
    """One layer: whether each of its original heads is kept, and how many of its FFN units are."""

    heads: tuple[bool, ...]
    units: int
    units_before: int


def layers_from(gates: PerGate, *, units: Sequence[int]) -> list[Layer]:
    """What is kept of each layer, according to the gates.

    Args:
        gates: the gates that surgery acted on.
        units: FFN units in each layer of the finished model. They are used if there are as many layers as in the gates,
            since surgery may have rounded widths up; if layers were removed as well, the gates are used.
    """
    if len(units) != len(gates.units):
        units = [int(gate.count_nonzero()) for gate in gates.units]
    return [
        Layer(heads=tuple((heads != 0).tolist()), units=kept, units_before=len(before))
        for heads, kept, before in zip(gates.heads, units, gates.units, strict=True)
    ]


def draw_structure(layers: Sequence[Layer], *, title: str) -> Figure:
    """A grid of heads, with layers down, and next to it a bar for the units of each layer; both are numbered from 0."""
    from matplotlib.patches import Patch

    widest = max((len(layer.heads) for layer in layers), default=0) or 1
    # A title is wider than a few heads.
    grid_inches = max(widest * _CELL_INCHES, 2.6)
    figure = new_figure(grid_inches + _BARS_INCHES + 1.2, len(layers) * _CELL_INCHES + 1.7)
    figure.set_layout_engine("constrained", wspace=0.08)  # so that no count of heads seems to belong to a bar
    heads, units = figure.subplots(1, 2, sharey=True, width_ratios=[grid_inches, _BARS_INCHES])
    _draw_heads(heads, layers, widest=widest)
    _draw_units(units, layers)
    heads.set_ylim(len(layers) - 0.5, -0.5)
    heads.set_yticks(range(len(layers)))
    heads.set_ylabel("layer", color=INK)
    for axes in (heads, units):
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=SMALL)
    set_heading(figure, title)
    marks = [Patch(color=_KEPT, label="kept"), Patch(color=PALE, label="removed")]
    figure.legend(handles=marks, loc="outside lower left", ncols=2, frameon=False, fontsize=SMALL)
    return figure


def _draw_heads(axes: Axes, layers: Sequence[Layer], *, widest: int) -> None:
    from matplotlib.colors import ListedColormap

    # A layer that originally had fewer heads ends in cells that are neither kept nor removed: NaN stays blank.
    cells = [[*map(float, layer.heads), *[float("nan")] * (widest - len(layer.heads))] for layer in layers]
    edges_x, edges_y = ([i - 0.5 for i in range(count + 1)] for count in (widest, len(layers)))
    axes.pcolormesh(
        edges_x, edges_y, cells, cmap=ListedColormap([PALE, _KEPT]), vmin=0, vmax=1, edgecolors="white", lw=1.5
    )
    for row, layer in enumerate(layers):
        _count(axes, sum(layer.heads), beside=(widest - 0.5, row))
    kept, all_of_them = sum(sum(layer.heads) for layer in layers), sum(len(layer.heads) for layer in layers)
    set_title(axes, f"heads: {kept} of {all_of_them}")
    axes.set_xticks(range(widest))
    axes.set_xlabel("head", color=INK)


def _draw_units(axes: Axes, layers: Sequence[Layer]) -> None:
    rows, before = range(len(layers)), [layer.units_before for layer in layers]
    axes.barh(rows, before, height=0.9, color=PALE)
    axes.barh(rows, [layer.units for layer in layers], height=0.9, color=_KEPT)
    for row, layer in enumerate(layers):
        _count(axes, layer.units, beside=(layer.units_before, row))
    set_title(axes, f"FFN units: {sum(layer.units for layer in layers):,} of {sum(before):,}")
    widest = max([*before, 1])
    axes.set_xlim(0, widest)
    axes.set_xticks([0, widest / 2, widest])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("units", color=INK)
    axes.tick_params(labelleft=False)


def _count(axes: Axes, count: int, *, beside: tuple[float, float]) -> None:
    axes.annotate(f"{count:,}", beside, (4, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK)
