"""Rows as lines of a CSV: every score and every latency setting in its own columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from secateur.report.pareto import frontiers
from secateur.report.published import Published, published_of
from secateur.report.rows import FRACTIONS, SIZES, Row
from secateur.report.sheet import mean_and_std


def row_lines(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """One line for each row, as a mapping by column."""
    for row, best in zip(rows, frontiers(rows), strict=True):
        yield _line(row) | {"frontier": "; ".join(best)} | _published(published_of(row))


def _line(row: Row) -> dict[str, Any]:
    names = ("method", "model", "dataset", "distillation", "sparsity")
    line: dict[str, Any] = {name: getattr(row, name) for name in names}
    seed = "as the run's" if row.predecessor_seed is None else row.predecessor_seed
    line |= {"predecessor_seed": seed, "differs_in": "; ".join(row.differs), "n": row.n, "metric": row.metric}
    line |= mean_and_std("score", row.score) | mean_and_std("speedup", row.speedup)
    line |= {"speedup_setting": str(row.headline or ""), "device": "; ".join(row.devices)}
    line |= {"beside_others": row.beside_others, "documents_kept": row.documents_kept}
    for name in ("retention", *FRACTIONS, *SIZES):
        line |= mean_and_std(name, row.figures.get(name))
    line["flops_length"] = row.flops_length
    for name, stat in row.scores.items():
        line |= mean_and_std(f"score:{name}", stat)
    for setting, timing in row.timings.items():
        place = "" if setting.runtime == "pytorch" else f"{setting.runtime}_"
        where = f"{place}{setting.dtype}_batch{setting.batch_size}_length{setting.length}"
        for name, stat in zip(("speedup", "p50_ms", "p90_ms"), timing, strict=True):
            line |= mean_and_std(f"{name}:{where}", stat)
    return line


def _published(published: Published | None) -> dict[str, Any]:
    if published is None:
        return {}
    return {
        "published_score": published.score,
        "published_dense_score": published.dense,
        "published_speedup": published.speedup,
        "published_in": published.source,
    }
