"""Pictures of rows: one panel for each model and data set; each method has the same colour and marker in all panels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from secateur.drawing import COLOURS, INK, MARKERS, new_figure, set_title
from secateur.report.rows import DENSE, Row, Stat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 24
_INCHES = (7.0, 4.4)

Panels = Mapping[tuple[str, str, str], Sequence[Row]]


def panels_of(rows: Iterable[Row], *, worth: Callable[[Row], bool]) -> Panels:
    """The rows by model, data set and metric, for groups in which at least one row is ``worth`` drawing.

    Empty if there would be more than ``MOST_PANELS``, which would be illegible and take minutes to draw.
    """
    panels: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        panels[row.model, row.dataset, row.metric].append(row)
    kept = {key: members for key, members in panels.items() if any(map(worth, members))}
    return kept if len(kept) <= MOST_PANELS else {}


def figure_of(
    panels: Panels, draw_panel: Callable[[Axes, Sequence[Row], Sequence[str]], None], *, last: str = ""
) -> Figure:
    """All panels, with one legend at the side.

    Args:
        panels: the rows of each panel, by model, data set and metric.
        draw_panel: draws rows on axes, given the names of all methods in all panels.
        last: the label at the end of the legend; the dense model comes first.
    """
    across = math.ceil(math.sqrt(len(panels)))
    down = math.ceil(len(panels) / across)
    figure = new_figure(_INCHES[0] * across, _INCHES[1] * down)
    methods = sorted({row.method for rows in panels.values() for row in rows if not row.dense})
    for place, ((model, dataset, metric), rows) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        draw_panel(axes, rows, methods)
        set_title(axes, f"{model} on {dataset}")
        axes.set_ylabel(metric, parse_math=False)
    handles = {text: mark for each in figure.axes for mark, text in zip(*each.get_legend_handles_labels(), strict=True)}
    order = sorted(handles, key=lambda name: (name != DENSE, name == last, name))
    figure.legend([handles[name] for name in order], order, loc="outside right upper", frameon=False, fontsize=10)
    return figure


def draw_points(axes: Axes, points: Sequence[tuple[Stat, Stat]], **look: Any) -> None:
    """Draw points (x, y) with error bars of one standard deviation, if any of them has a spread."""
    xs, ys = zip(*points, strict=True)
    x_bars, y_bars = ([stat.std or 0 for stat in stats] for stats in (xs, ys))
    axes.errorbar(
        [x.mean for x in xs],
        [y.mean for y in ys],
        xerr=x_bars if any(x_bars) else None,
        yerr=y_bars if any(y_bars) else None,
        **_LOOK | look,
    )


def look_of(method: str, methods: Sequence[str]) -> dict[str, Any]:
    """The colour and marker of ``method``, one of ``methods`` or the dense model."""
    if method == DENSE:
        return {"marker": "*", "color": INK, "markersize": 14, "zorder": 4}
    place = methods.index(method)
    return {"marker": MARKERS[place % len(MARKERS)], "color": COLOURS[place % len(COLOURS)]}


_LOOK: dict[str, Any] = {
    "ls": "none",
    "markersize": 8,
    "markeredgecolor": "white",
    "markeredgewidth": 0.7,
    "elinewidth": 1,
    "capsize": 2,
    "zorder": 3,
}
