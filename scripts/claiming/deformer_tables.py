"""Tables of the page on DeFormer, generated from its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from claiming.figures import cached_share_of_promise, timings
from claiming.tables import markdown, mean_and_spread
from secateur.record import Record


def layers_apart_table(records: Sequence[Record]) -> str:
    """Scores and speed by the number of decomposed layers, trained only on the task's loss; empty without any."""
    runs: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in _trained(records):
        if record.distillation == "none":
            runs[record.dataset, record.config["method"]["lower_layers"]].append(record)
    lines = [
        [dataset, str(apart), *(mean_and_spread(found) for found in _figures(members))]
        for (dataset, apart), members in sorted(runs.items())
    ]
    head = [
        *("data set", "decomposed layers", "dense, packed", "dense, separate slots", "score"),
        *("speed-up with documents kept", "% of the ratio of FLOPs"),
    ]
    return markdown("Decomposed layers", head, lines)


def losses_table(records: Sequence[Record]) -> str:
    """Scores by what is imitated; empty without any."""
    runs: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for record in _trained(records):
        assert record.compressed is not None
        key = (record.dataset, record.config["method"]["lower_layers"], _imitated(record.config["distillation"]))
        runs[key].append(record.compressed.scores[record.metric])
    compared = {key[:2] for key in runs if key[2] != "nothing"}
    lines = [[*map(str, key), mean_and_spread(runs[key])] for key in sorted(runs) if key[:2] in compared]
    return markdown("What is imitated", ["data set", "decomposed layers", "imitated", "score"], lines)


def _trained(records: Sequence[Record]) -> list[Record]:
    return [
        record
        for record in records
        if "decompose" in record.config["method"]["order"] and record.compressed and record.reference
    ]


def _figures(records: Sequence[Record]) -> list[list[float]]:
    """The runs' figures for each column."""
    share = cached_share_of_promise(8)
    columns: list[Callable[[Record], float | None]] = [
        lambda record: record.reference.scores[record.metric] if record.reference else None,
        lambda record: (record.steps[0].scores or {}).get(record.metric) if record.steps else None,
        lambda record: record.compressed.scores[record.metric] if record.compressed else None,
        lambda record: next((pair.speedup for pair in timings(record, 8) if pair.cached), None),
        lambda record: None if share(record) is None else 100 * (share(record) or 0.0),
    ]
    return [[figure for record in records if (figure := column(record)) is not None] for column in columns]


def _imitated(distillation: Mapping[str, Any]) -> str:
    if distillation["name"] == "none":
        return "nothing"
    if distillation["name"] == "logits":
        return "outputs"
    return "outputs and layers" if distillation["loss"]["alpha"] else "layers"
