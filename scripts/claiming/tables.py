"""Tables of a section's page, generated from its records."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from claiming.figures import gain_at, mixed_scores, shares_kept
from secateur.record import Record


class Scored(NamedTuple):
    """The score of a run, the score of its reference, and its speed-up minus 1; None if that was not timed."""

    score: float
    dense: float
    gain: float | None


Row = tuple[str, int]  # the name of a method, and the number of layers left


def tasks_table(records: Sequence[Record]) -> str:
    """Methods by tasks, in the papers' layout: each task's own metric, their mean, the share kept, and the speed-up.

    A method has a mean only if it has every task of the table. Models with the same number of layers have the same
    shape, so they share one speed: the mean of all.
    """
    records = [record for record in records if "recover" in record.config["method"]["order"]]
    compressed = _rows(records)
    tasks = sorted({task for found in compressed.values() for task in found})
    speeds = _speeds(compressed)
    rows = {**_dense(records, tasks), **compressed}
    lines = []
    for (name, layers), found in sorted(rows.items(), key=lambda row: (-row[0][1], row[0][0])):
        cells = [mean_and_spread([run.score for run in found.get(task, ())]) for task in tasks]
        ends = _ends(found) if set(tasks) == set(found) else ["", ""]
        lines.append([name, str(layers), *cells, *ends, speeds.get(layers, "")])
    return markdown("Tasks", ["method", "layers", *tasks, "mean", "kept %", "speed-up"], lines)


def curve_table(records: Sequence[Record]) -> str:
    """The scores as heads are removed, for each order; empty without a curve."""
    curves = {
        (record.config["method"]["ranking"], record.seed): step.details["curve"]
        for record in records
        for step in record.steps
        if "curve" in step.details
    }
    shares = [point["heads_removed"] for point in next(iter(curves.values()), [])]
    lines = [
        [f"{ranking}, seed {seed}", *(f"{point['scores']['f1']:.1f}" for point in points)]
        for (ranking, seed), points in sorted(curves.items())
    ]
    return markdown("F1 as heads are removed", ["heads removed", *(f"{100 * share:.0f} %" for share in shares)], lines)


def layers_table(records: Sequence[Record]) -> str:
    """The share of heads or units that every layer keeps in L0's runs on only one of them; empty without any."""
    lines = []
    for record in records:
        for kind in ("heads", "units"):
            asked = record.config["method"].get(kind)
            if record.method == "l0" and asked is not None:
                kept = ", ".join(f"{share:.2f}" for share in shares_kept(record, kind))
                lines.append([record.dataset, kind, f"{asked:g}", str(record.seed), kept])
    head = ["data set", "kind", "removed", "seed", "share kept, from the first layer to the last"]
    return markdown("What L0 keeps in each layer", head, sorted(lines))


def modules_table(records: Sequence[Record]) -> str:
    """The scores with single modules replaced, by task; empty without any (Xu et al., table 5)."""
    found: dict[str, dict[tuple[int, ...], list[float]]] = {}
    for record in records:
        for replaced, score in mixed_scores(record).items():
            found.setdefault(record.dataset, {}).setdefault(replaced, []).append(score)
    columns = sorted({replaced for scores in found.values() for replaced in scores}, key=lambda each: (len(each), each))
    head = ["data set", *(_replaced(each) for each in columns)]
    lines = [
        [task, *(mean_and_spread(scores.get(each, ())) for each in columns)] for task, scores in sorted(found.items())
    ]
    return markdown("Single modules replaced", head, lines)


def transfer_table(records: Sequence[Record]) -> str:
    """What models score that were compressed on one task and fine-tuned on another; empty without any."""
    compressed_on = {record.name: record for record in records if record.method != "finetune"}
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for record in records:
        if record.method == "finetune" and record.parents and record.compressed and record.reference:
            parent = compressed_on[record.parents[-1]]
            row = (_called(parent), parent.dataset, record.dataset)
            scores = (record.compressed.scores[record.metric], record.reference.scores[record.metric])
            found.setdefault(row, []).append(scores)
    lines = [[*row, *(mean_and_spread(scores) for scores in zip(*found[row], strict=True))] for row in sorted(found)]
    head = ["method", "compressed on", "fine-tuned on", "score", "dense"]
    return markdown("Compressed on one task, fine-tuned on another", head, lines)


def _replaced(modules: tuple[int, ...]) -> str:
    return f"module {', '.join(str(module + 1) for module in modules)}" if modules else "none"


def markdown(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table under a heading; empty without lines."""
    if not lines:
        return ""
    rows = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)]
    return "\n".join([f"## {title}", "", *rows])


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean and, for several values, their standard deviation and number; empty without any."""
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f} ({len(values)})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _rows(records: Sequence[Record]) -> dict[Row, dict[str, list[Scored]]]:
    """The runs of each row, by task."""
    rows: dict[Row, dict[str, list[Scored]]] = {}
    for record in records:
        if record.compressed is None or record.reference is None or record.compressed.structure is None:
            continue
        score, dense = (model.scores[record.metric] for model in (record.compressed, record.reference))
        row = (_called(record), len(record.compressed.structure.heads))
        rows.setdefault(row, {}).setdefault(record.dataset, []).append(Scored(score, dense, gain_at(record, 32)))
    return rows


def _called(record: Record) -> str:
    """The method, its schedule, its distillation, and the origin of its layers if not the predecessor."""
    method = record.config["method"]
    origin = ", from the pretrained model" if method.get("init") == "pretrained" else ""
    schedule = f", {method['schedule']} from {method['rate']:g}" if "schedule" in method else ""
    return record.method + schedule + ("" if record.distillation == "none" else f" + {record.distillation}") + origin


def _dense(records: Sequence[Record], tasks: Sequence[str]) -> dict[Row, dict[str, list[Scored]]]:
    """The row of the models that all others were compressed from: one per task and processor that trained it."""
    found: dict[str, dict[str, Scored]] = {}
    layers = 0
    for record in records:
        if record.reference is not None and record.reference.structure is not None and record.dataset in tasks:
            score, layers = record.reference.scores[record.metric], len(record.reference.structure.heads)
            found.setdefault(record.dataset, {})[record.machine.get("processor", "")] = Scored(score, score, None)
    return {("dense", layers): {task: list(scored.values()) for task, scored in found.items()}} if found else {}


def _speeds(rows: dict[Row, dict[str, list[Scored]]]) -> dict[int, str]:
    """The speed-up over the dense model, by number of layers."""
    gains: dict[int, list[float]] = {}
    for (_, layers), found in rows.items():
        gains.setdefault(layers, []).extend(run.gain for runs in found.values() for run in runs if run.gain is not None)
    return {layers: f"{1 + statistics.mean(each):.2f}" for layers, each in gains.items() if each}


def _ends(found: dict[str, list[Scored]]) -> list[str]:
    """The mean over tasks of each task's mean, and its share of the dense model's."""
    score, dense = (
        statistics.mean(statistics.mean(getattr(run, name) for run in runs) for runs in found.values())
        for name in ("score", "dense")
    )
    return [f"{score:.1f}", f"{100 * score / dense:.1f}"]
