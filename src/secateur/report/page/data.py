"""What the page shows, as plain data: rows, their runs, and the runs that are in no table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from secateur.record import Record, method_label
from secateur.report.contents import Contents
from secateur.report.panels import look_of
from secateur.report.pareto import frontiers
from secateur.report.published import Published, published_of
from secateur.report.rows import DENSE, Row, Stat
from secateur.report.stages_table import stage_notes, stage_sections

# Plotly's names of the matplotlib markers that the other pictures use.
_SYMBOLS = {
    **{"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"},
    **{"X": "x", "p": "pentagon", "<": "triangle-left", ">": "triangle-right", "h": "hexagon", "*": "star"},
}


def page_data(contents: Contents, pictures: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Everything except the records themselves, ready for JSON.

    Args:
        contents: the contents of the report.
        pictures: for each run, by name, its pictures as data URLs, by file name.
    """
    rows, runs = contents.rows, runs_of(contents.rows)
    places = {(record.name, record.seed): place for place, record in enumerate(runs)}
    methods = sorted({row.method for row in rows if not row.dense})
    folders = {(record.name, record.seed): str(path.parent) for path, record in contents.found.runs.items()}
    best = frontiers(rows)
    return {
        "looks": {method: _look(method, methods) for method in [DENSE, *methods]},
        "rows": [
            _row(row, best[index], [] if row.dense else [places[record.name, record.seed] for record in row.records])
            for index, row in enumerate(rows)
        ],
        "runs": [
            {
                "name": record.name,
                "seed": record.seed,
                "folder": folders[record.name, record.seed],
                "score": record.compressed and record.compressed.scores.get(record.metric),
                "pictures": pictures.get(record.name, {}),
            }
            for record in runs
        ],
        "stages": [
            {"title": title, "tables": [_table(columns) for columns in tables]}
            for title, tables in stage_sections(contents.stages)
        ],
        "stageNotes": stage_notes(contents.stages),
        "unfinished": [each._asdict() for each in contents.unfinished],
    }


def runs_of(rows: Sequence[Row]) -> list[Record]:
    """The finished runs behind the rows, in the rows' order."""
    return list(chain.from_iterable(row.records for row in rows if not row.dense))


def _table(columns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {"header": list(columns), "rows": [list(cells) for cells in zip(*columns.values(), strict=True)]}


def _look(method: str, methods: Sequence[str]) -> dict[str, str]:
    look = look_of(method, methods)
    return {"colour": look["color"], "symbol": _SYMBOLS[look["marker"]]}


def _row(row: Row, best: Sequence[str], runs: Sequence[int]) -> dict[str, Any]:
    timing = row.timings[row.headline] if row.headline else None
    names = ("retention", "removed", "zeroed", "parameters", "flops", "disk_bytes", "sparse_bytes")
    figures = {name: row.figures.get(name) for name in names}
    figures |= {"score": row.score, "speedup": row.speedup, "milliseconds": timing and timing.p50}
    return {
        **{name: getattr(row, name) for name in ("method", "model", "dataset", "metric", "sparsity", "n")},
        "label": method_label(row.method, row.distillation),
        "distillation": row.distillation,
        "dense": row.dense,
        "differs": row.differs,
        "data": row.settings.get("fingerprint"),
        "predecessorSeed": row.predecessor_seed,
        "setting": str(row.headline or ""),
        "devices": row.devices,
        "besideOthers": row.beside_others,
        "documentsKept": row.documents_kept,
        "flopsLength": row.flops_length,
        "figures": {name: _stat(stat) for name, stat in figures.items() if stat is not None},
        "scores": {name: _stat(stat) for name, stat in row.scores.items()},
        "best": best,
        "layers": _layers(row),
        "published": _published(published_of(row)),
        "runs": runs,
    }


def _stat(stat: Stat) -> list[float | None]:
    return [stat.mean, stat.std]


def _layers(row: Row) -> dict[str, list[float]] | None:
    """Mean heads and units left in each layer, and what the dense model has; None if the runs differ in depth."""
    side = "reference" if row.dense else "compressed"
    pairs = [(m.structure, r.reference.structure) for r in row.records if r.reference and (m := getattr(r, side))]
    known = [(ours, dense) for ours, dense in pairs if ours.heads and len(ours.heads) == len(ours.units)]
    if not known or len({len(ours.heads) for ours, _ in known}) > 1:
        return None
    dense = known[0][1]
    return {
        "heads": _means([ours.heads for ours, _ in known]),
        "units": _means([ours.units for ours, _ in known]),
        "denseHeads": list(map(float, dense.heads)),
        "denseUnits": list(map(float, dense.units)),
    }


def _means(layers: Sequence[Sequence[int]]) -> list[float]:
    return [sum(layer) / len(layer) for layer in zip(*layers, strict=True)]


def _published(published: Published | None) -> dict[str, Any] | None:
    if published is None:
        return None
    names = ("score", "dense", "speedup", "retention", "statistic", "source")
    return {name: getattr(published, name) for name in names}
