"""A model's scores as its heads are removed one after the other, and with only one head left in a layer.

Michel, Levy, Neubig: Are Sixteen Heads Really Better than One? (arXiv 1905.10650), sections 3.3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from secateur.drawing import COLOURS, FAINT, INK, MARKERS, SMALL, new_figure, set_heading, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR_INCHES = 0.28


def draw_curve(points: Sequence[Mapping[str, Any]], *, metric: str, dense: float, title: str) -> Figure:
    """Score against the fraction of heads removed.

    Args:
        points: ``heads_removed`` in [0, 1] and ``scores`` by metric, for each model that was scored.
        metric: the metric to draw.
        dense: the dense model's score.
        title: the picture's title.
    """
    figure = new_figure(7.0, 4.4)
    axes = figure.add_subplot()
    axes.axhline(dense, color=INK, lw=1.2, ls=(0, (4, 2)), zorder=2, label=f"dense model: {dense:.4g}")
    by_rising_x = sorted((point["heads_removed"], point["scores"][metric]) for point in points)
    axes.plot(*zip(*by_rising_x, strict=True), color=COLOURS[0], marker=MARKERS[0], markeredgecolor="white", zorder=3)
    set_heading(figure, title)
    axes.set_xlabel("fraction of heads removed", color=INK)
    axes.set_ylabel(metric, color=INK, parse_math=False)
    axes.legend(frameon=False, fontsize=SMALL)
    style_axes(axes)
    return figure


def draw_best_head(layers: Sequence[Mapping[str, Any]], *, metric: str, whole: float, title: str) -> Figure:
    """How the score changes when one layer keeps only its best head; a bar for each layer.

    Args:
        layers: ``layer`` and ``head``, both from 0, and the ``scores`` of the model with only that head in the layer.
        metric: the metric to draw.
        whole: the model's score with all of its heads, relative to which changes are shown.
        title: the picture's title.
    """
    figure = new_figure(7.0, len(layers) * _BAR_INCHES + 1.5)
    axes = figure.add_subplot()
    changes = [entry["scores"][metric] - whole for entry in layers]
    bars = axes.barh(range(len(layers)), changes, color=[COLOURS[change < 0] for change in changes])
    axes.bar_label(bars, [f"{change:+.3g}" for change in changes], padding=3, fontsize=SMALL, color=INK)
    names = [f"layer {entry['layer']}, head {entry['head']}" for entry in layers]
    axes.set_yticks(range(len(layers)), names)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    set_heading(figure, title)
    axes.set_xlabel(f"change in {metric} with this head alone in its layer", color=INK, parse_math=False)
    axes.axvline(0, color=FAINT, lw=0.8)
    axes.margins(x=0.15)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    return figure
