"""Pareto frontiers: the models that no other beats in both score and one of measured speed, size in bytes and FLOPs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from secateur.report.rows import Row, Stat


class Good(NamedTuple):
    """A figure that is traded off against the score: ``sign`` is 1 if more is better, -1 if less is.

    Only rows with the same ``setting`` are compared.
    """

    sign: int
    figure: Callable[[Row], Stat | None]
    setting: Callable[[Row], Hashable] = lambda row: None


GOODS = {
    "speed": Good(1, lambda row: row.speedup, lambda row: row.headline),
    "bytes": Good(-1, lambda row: row.figures.get("disk_bytes")),
    "FLOPs": Good(-1, lambda row: row.figures.get("flops"), lambda row: row.flops_length),
}


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points (x, y) that no other point beats, that is, matches in both coordinates and exceeds in one.

    Equal points do not beat each other, so all of them are on the frontier. A point with a NaN never is.

    Returns:
        Their indices, by increasing x.
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


def frontiers(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """For each row, those of ``GOODS`` for which it is on the frontier of its model, data and metric."""
    found: list[tuple[str, ...]] = [() for _ in rows]
    for name, good in GOODS.items():
        panels: dict[Hashable, list[tuple[int, float, float]]] = defaultdict(list)
        for index, row in enumerate(rows):
            x, y = good.figure(row), row.score
            if x is not None and y is not None:
                panel = (row.model, row.dataset, row.metric, row.settings.get("fingerprint"), good.setting(row))
                panels[panel].append((index, good.sign * x.mean, y.mean))
        for points in panels.values():
            for place in pareto([(x, y) for _, x, y in points]):
                found[points[place][0]] += (name,)
    return found
