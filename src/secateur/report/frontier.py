"""The frontier: what each model scores against how much faster it is, and which nothing beats on both."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.report.rows import DENSE, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind can tell apart; the markers serve prints in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5f3f", "#5f5f9f")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h")
_INK, _FAINT = "#222222", "#7a7a7a"
_PANEL_INCHES = (7.0, 4.4)
_FRONTIER = "frontier, with sparsity"


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points (x, y) that no other beats: is as good in both and better in one, where more is better.

    Equal points do not beat one another, so all of them are on the frontier. A point with a NaN never is.

    Returns:
        Their indices, by rising x.
    """
    known = [index for index, point in enumerate(points) if not any(map(math.isnan, point))]
    highest, beyond = -math.inf, math.nan
    frontier = []
    for index in sorted(known, key=lambda i: (-points[i][0], -points[i][1], -i)):
        x, y = points[index]
        if y > highest or (y == highest and x == beyond):
            highest, beyond = y, x
            frontier.append(index)
    return frontier[::-1]


def draw(rows: Sequence[Row], path: Path) -> bool:
    """Draw score against speed-up as a PNG, one panel for each model and dataset.

    Returns:
        Whether there was anything to draw: at least one compressed model with a score and a speed.
    """
    panels: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.score is not None and row.speedup is not None:
            panels[row.model, row.dataset, row.metric].append(row)
    panels = {key: shown for key, shown in panels.items() if any(not row.dense for row in shown)}
    if panels:
        _draw_panels(panels, path)
    return bool(panels)


def _draw_panels(panels: dict[tuple[str, str, str], list[Row]], path: Path) -> None:
    # Drawing wants half a second of imports; a figure of its own leaves pyplot's state to others.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = math.ceil(math.sqrt(len(panels)))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(_PANEL_INCHES[0] * across, _PANEL_INCHES[1] * down), layout="constrained")
    FigureCanvasAgg(figure)
    methods = sorted({row.method for rows in panels.values() for row in rows if not row.dense})
    for place, ((model, dataset, metric), rows) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        _draw_panel(axes, rows, methods)
        axes.set_title(f"{model} on {dataset}", loc="left", fontsize=11, color=_INK, parse_math=False)
        axes.set_ylabel(metric, parse_math=False)
    handles = {text: mark for each in figure.axes for mark, text in zip(*each.get_legend_handles_labels(), strict=True)}
    order = [name for name in (DENSE, *methods, _FRONTIER) if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside right upper", frameon=False, fontsize=10)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, dpi=150, format="png", facecolor="white")
    partial.replace(path)


def _draw_panel(axes: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    points = [_point(row) for row in rows]
    best = pareto(points)
    axes.plot(*zip(*(points[i] for i in best), strict=True), color=_FAINT, lw=1.2, zorder=1, label=_FRONTIER)
    for method in [DENSE, *methods]:
        _draw_method(axes, [row for row in rows if row.method == method], methods)
    _annotate(axes, [rows[i] for i in best])
    axes.axvline(1, color=_FAINT, lw=0.8, ls=(0, (2, 3)), zorder=0)
    _style(axes, rows)


def _draw_method(axes: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    if not rows:
        return
    x, y = zip(*map(_point, rows), strict=True)
    place = -1 if rows[0].dense else methods.index(rows[0].method)
    axes.errorbar(
        x,
        y,
        xerr=[row.speedup.std or 0 if row.speedup else 0 for row in rows] if _spread(rows) else None,
        yerr=[row.score.std or 0 if row.score else 0 for row in rows] if _spread(rows) else None,
        fmt="*" if place < 0 else _MARKERS[place % len(_MARKERS)],
        color=_INK if place < 0 else _COLOURS[place % len(_COLOURS)],
        markersize=14 if place < 0 else 8,
        markeredgecolor="white",
        markeredgewidth=0.7,
        elinewidth=1,
        capsize=2,
        zorder=4 if place < 0 else 3,
        label=rows[0].method,
    )


def _annotate(axes: Axes, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.sparsity is not None:
            axes.annotate(
                f"{row.sparsity:g}",
                _point(row),
                xytext=(6, 5),
                textcoords="offset points",
                fontsize=9,
                color=_INK,
            )


def _style(axes: Axes, rows: Sequence[Row]) -> None:
    settings = {str(row.headline) for row in rows if not row.dense}
    measured = f"\n{settings.pop()}" if len(settings) == 1 else ""
    axes.set_xlabel(f"measured speed-up against the dense model{measured}")
    axes.xaxis.set_major_formatter("{x:g}\N{MULTIPLICATION SIGN}")
    axes.margins(0.08)
    axes.grid(color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, color=_FAINT)


def _point(row: Row) -> tuple[float, float]:
    assert row.score is not None and row.speedup is not None, "rows without figures are not drawn"
    return row.speedup.mean, row.score.mean


def _spread(rows: Sequence[Row]) -> bool:
    return any(row.n > 1 for row in rows)
