"""What all pictures share: colours, and figures that leave pyplot's global state to others.

Drawing wants half a second of imports, which wait until the first figure.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart; the markers serve prints in grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f3f", "#5f5f9f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h")
INK, FAINT, PALE = "#222222", "#7a7a7a", "#e6e6e6"
SMALL = 9  # points, for what is read second


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, whose parts make room for one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_heading(figure: Figure, text: str) -> None:
    """Above the whole figure, on as many lines as it takes."""
    lines = textwrap.fill(text, width=int(10 * figure.get_figwidth()))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=11, color=INK, parse_math=False)


def set_title(axes: Axes, text: str) -> None:
    """Above the axes, as it is: names may hold what matplotlib takes for mathematics."""
    axes.set_title(text, loc="left", fontsize=11, color=INK, parse_math=False)


def style_axes(axes: Axes) -> None:
    """A faint grid, and no frame beyond the two axes."""
    axes.grid(color=PALE, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, color=FAINT)


def save(figure: Figure | None, path: Path) -> bool:
    """Write a PNG: beside it first, then renamed, so that nobody sees half of it.

    Returns:
        Whether there was anything to draw.
    """
    if figure is None:
        return False
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, dpi=150, format="png", facecolor="white")
    partial.replace(path)
    return True
