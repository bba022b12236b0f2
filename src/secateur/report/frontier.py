"""The frontier: each model's score against its speed-up, and which models no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.drawing import FAINT, INK, SMALL, save, style_axes
from secateur.report.panels import draw_points, figure_of, look_of, panels_of
from secateur.report.pareto import pareto
from secateur.report.rows import DENSE, Row, Stat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRONTIER = "frontier, with sparsity"


def draw(rows: Sequence[Row], path: Path) -> bool:
    """Draw score against speed-up as a PNG.

    Returns:
        Whether there was anything to draw.
    """
    return save(figure_of_frontier(rows), path)


def figure_of_frontier(rows: Sequence[Row]) -> Figure | None:
    """Score against speed-up, one panel for each model and data set with a compressed model that has both figures."""
    known = [row for row in rows if row.score is not None and row.speedup is not None]
    panels = panels_of(known, worth=lambda row: not row.dense)
    return figure_of(panels, _draw_panel, last=_FRONTIER) if panels else None


def _draw_panel(axes: Axes, rows: Sequence[Row], methods: Sequence[str]) -> None:
    points = [(x.mean, y.mean) for x, y in map(_point, rows)]
    best = pareto(points)
    axes.plot(*zip(*(points[i] for i in best), strict=True), color=FAINT, lw=1.2, zorder=1, label=_FRONTIER)
    for method in [DENSE, *methods]:
        its = [_point(row) for row in rows if row.method == method]
        if its:
            draw_points(axes, its, label=method, **look_of(method, methods))
    for i in best:
        _annotate(axes, points[i], rows[i].sparsity)
    axes.axvline(1, color=FAINT, lw=0.8, ls=(0, (2, 3)), zorder=0)
    settings = {str(row.headline) for row in rows if not row.dense}
    measured = f"\n{settings.pop()}" if len(settings) == 1 else ""
    axes.set_xlabel(f"measured speed-up against the dense model{measured}")
    axes.xaxis.set_major_formatter("{x:g}\N{MULTIPLICATION SIGN}")
    axes.margins(0.08)
    style_axes(axes)


def _annotate(axes: Axes, point: tuple[float, float], sparsity: float | None) -> None:
    if sparsity is not None:
        text = f"{sparsity:g}"
        axes.annotate(text, point, xytext=(6, 5), textcoords="offset points", fontsize=SMALL, color=INK)


def _point(row: Row) -> tuple[Stat, Stat]:
    assert row.score is not None and row.speedup is not None, "rows without figures are not drawn"
    return row.speedup, row.score
