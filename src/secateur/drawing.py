"""What all pictures share: colours, and figures that do not touch pyplot's global state.

Importing matplotlib takes half a second, so it is deferred until the first figure.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can distinguish; the markers are for greyscale prints.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f3f", "#5f5f9f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h")
INK, FAINT, PALE = "#222222", "#7a7a7a", "#e6e6e6"
SMALL = 9  # points, for secondary text


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sized in inches, with constrained layout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_heading(figure: Figure, text: str) -> None:
    """Set a heading above the entire figure, wrapped to its width."""
    lines = textwrap.fill(text, width=int(10 * figure.get_figwidth()))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=11, color=INK, parse_math=False)


def set_title(axes: Axes, text: str) -> None:
    """Set a title above the axes verbatim: names may contain what matplotlib would parse as mathematics."""
    axes.set_title(text, loc="left", fontsize=11, color=INK, parse_math=False)


def style_axes(axes: Axes) -> None:
    """Draw a faint grid, and no frame apart from the two axes."""
    axes.grid(color=PALE, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, color=FAINT)


def save(figure: Figure | None, path: Path) -> bool:
    """Write a PNG to a temporary file, then rename it, so that no reader sees a partial one.

    Returns:
        Whether there was anything to draw.
    """
    if figure is None:
        return False
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, dpi=150, format="png", facecolor="white")
    partial.replace(path)
    return True
