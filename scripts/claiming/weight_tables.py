"""Tables of the page on weights, generated from its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from claiming.tables import markdown, mean_and_spread
from secateur.record import Record
from secateur.report.rows import Stat
from secateur.report.stages import StageRow, stage_rows

TEXT_SCORES = {"mlm_accuracy": "hidden tokens", "nsp_accuracy": "next sentences"}


def stages_table(records: Sequence[Record]) -> str:
    """Pruned once on text, then fine-tuned: tasks as columns, sparsities as rows, as in the paper; else empty."""
    rows = stage_rows(records)
    tasks = sorted({task for row in rows for task in row.tasks})
    head = ["method", "zeros", *TEXT_SCORES.values(), *tasks]
    return markdown("Pruned on text, then fine-tuned", head, [_stage_cells(row, tasks) for row in rows])


def direct_table(records: Sequence[Record]) -> str:
    """Pruned while fine-tuned: data sets and methods as rows, sparsities as columns; empty without any."""
    direct = [
        record
        for record in records
        if record.sparsity is not None and record.compressed is not None and not _is_text(record)
    ]
    sparsities = sorted({record.sparsity for record in direct if record.sparsity is not None})
    cells: dict[tuple[str, str], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    dense: dict[str, float] = {}
    for record in direct:
        assert record.compressed is not None and record.reference is not None and record.sparsity is not None
        dense[record.dataset] = record.reference.scores[record.metric]
        scores = cells[record.dataset, _variant(record)][record.sparsity]
        scores.append(record.compressed.scores[record.metric])
    lines = [
        [dataset, name, f"{dense[dataset]:.1f}", *(mean_and_spread(found.get(each, ())) for each in sparsities)]
        for (dataset, name), found in sorted(cells.items())
    ]
    head = ["data set", "method", "dense", *(f"{sparsity:g}" for sparsity in sparsities)]
    return markdown("Pruned in fine-tuning", head, lines)


def proximal_table(records: Sequence[Record]) -> str:
    """The results of proximal steps next to what was requested or predicted; empty without any."""
    lines = []
    for record in records:
        details = next((step.details for step in record.steps if "zeroed_by_steps" in step.details), None)
        if details is not None:
            asked = "given γ" if record.sparsity is None else f"{record.sparsity:g}"
            predicted = f"{details['predicted']:.3f}" if "predicted" in details else ""
            figures = [f"{details['gamma']:.2g}", predicted, f"{details['zeroed_by_steps']:.4f}"]
            lines.append([record.dataset, _variant(record), asked, *figures, f"{details['mean_size']:.4f}"])
    head = ["data set", "penalty", "requested", "first γ", "predicted", "reached by steps", "mean remaining size"]
    return markdown("Proximal steps", head, sorted(lines))


def _stage_cells(row: StageRow, tasks: Sequence[str]) -> list[str]:
    name = " ".join([row.method, *(f"({setting})" for setting in row.differs)])
    zeros = "" if row.zeroed is None else f"{row.zeroed.mean:.2f}"
    texts = [_stat(row.text_scores.get(score)) for score in TEXT_SCORES]
    return [name, zeros, *texts, *(_stat(row.tasks[task].score if task in row.tasks else None) for task in tasks)]


def _variant(record: Record) -> str:
    """The method, and what distinguishes its control."""
    if record.config["method"].get("ranking") == "random":
        return f"{record.method}, random"
    prune = record.config["method"]["steps"].get("prune", {})
    return f"{record.method}, plain ℓ1" if prune.get("reweight") is False else record.method


def _is_text(record: Record) -> bool:
    return record.metric in TEXT_SCORES


def _stat(stat: Stat | None) -> str:
    if stat is None:
        return ""
    return f"{stat.mean:.1f}" + (f" ± {stat.std:.1f}" if stat.std is not None else "")
