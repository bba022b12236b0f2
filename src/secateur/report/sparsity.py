"""Models' scores against how much of the encoder is removed or zero."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from secateur.drawing import FAINT, INK, save, style_axes
from secateur.record import method_label
from secateur.report.panels import draw_points, figure_of, look_of, panels_of
from secateur.report.rows import DENSE, GONE, Row, Stat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":", "-.")


def draw(rows: Sequence[Row], path: Path) -> bool:
    """Draw score against the fraction removed or zero as a PNG.

    Returns:
        Whether there was anything to draw.
    """
    return save(figure_of_removal(rows), path)


def figure_of_removal(rows: Sequence[Row]) -> Figure | None:
    """Score against the fraction removed or zero, one panel for each model and data set with a compressed model."""
    known = [row for row in rows if row.score is not None and GONE in row.figures]
    panels = panels_of(known, worth=lambda row: row.figures[GONE].mean > 0)
    distilled = sorted({row.distillation for row in known if not row.dense} - {"none"})
    draw_panel = partial(_draw_panel, distillations=["none", *distilled])
    return figure_of(panels, draw_panel) if panels else None


def _draw_panel(axes: Axes, rows: Sequence[Row], methods: Sequence[str], *, distillations: Sequence[str]) -> None:
    for row in rows:
        if row.dense:
            axes.axhline(_point(row)[1].mean, color=INK, lw=1.2, ls=(0, (4, 2)), zorder=2, label=DENSE)
    for line in _lines(rows):
        method, distillation = line[0].method, line[0].distillation
        look = look_of(method, methods) | {"ls": _LINES[distillations.index(distillation) % len(_LINES)]}
        if distillation != "none":  # hollow markers, so that even single points can be distinguished
            look |= {"markerfacecolor": "white", "markeredgecolor": look["color"], "markeredgewidth": 1.5}
        draw_points(axes, [_point(row) for row in line], label=method_label(method, distillation), **look)
    axes.set_xlabel("fraction of the encoder's weights removed or zero")
    axes.axvline(0, color=FAINT, lw=0.8, ls=(0, (2, 3)), zorder=0)
    axes.margins(0.08)
    style_axes(axes)


def _lines(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows that one line joins, by increasing x: they differ only in how much is to be removed."""
    lines: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if not row.dense:
            lines[row.method, row.distillation, row.differs].append(row)
    for line in lines.values():
        yield sorted(line, key=lambda row: row.figures[GONE].mean)


def _point(row: Row) -> tuple[Stat, Stat]:
    assert row.score is not None, "rows without figures are not drawn"
    return row.figures[GONE], row.score
