"""The pictures that a finished run leaves in ``<run>/figures``: those for which it has data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.analysis.curve import draw_best_head, draw_curve
from secateur.analysis.structure import draw_structure, layers_from
from secateur.analysis.zero_pictures import pictures_of_zeros
from secateur.drawing import save
from secateur.methods.step_folder import last_gates, per_gate_of
from secateur.record import Record, method_label
from secateur.structure.checkpoint import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pictures(record: Record, folder: Path) -> None:
    """Draw the pictures of the scored and measured run in ``folder``, as PNGs."""
    for name, figure in _pictures(record, folder):
        (folder / "figures").mkdir(exist_ok=True)
        save(figure, folder / "figures" / f"{name}.png")


def title_of(record: Record) -> str:
    """Model, data set, method and target sparsity."""
    asked = "" if record.sparsity is None else f", sparsity {record.sparsity:g}"
    return f"{record.model} on {record.dataset}: {method_label(record.method, record.distillation)}{asked}"


def _pictures(record: Record, folder: Path) -> Iterator[tuple[str, Figure]]:
    assert record.reference is not None
    assert record.compressed is not None
    title = title_of(record)
    # Surgery acts on the last gates before it; earlier ones belong to a model with more heads.
    if (step := last_gates(folder)) is not None:
        layers = layers_from(per_gate_of(step)["gates"], units=record.compressed.structure.units)
        yield "structure", draw_structure(layers, title=title)
    if record.compressed.structure.is_sparse:
        yield from pictures_of_zeros(load(folder / record.compressed.folder), title=title)
    dense = record.reference.scores
    if points := _detail(record, "curve"):
        yield "curve", draw_curve(points, metric=record.metric, dense=dense[record.metric], title=title)
    if layers_alone := _detail(record, "best_head"):
        whole = _detail(record, "whole") or dense  # scored on the step's own model, which may differ from the dense one
        yield "best_head", draw_best_head(layers_alone, metric=record.metric, whole=whole[record.metric], title=title)


def _detail(record: Record, key: str) -> Any:
    """The detail ``key`` of the last step that recorded it; None if no step did."""
    return next((step.details[key] for step in reversed(record.steps) if key in step.details), None)
