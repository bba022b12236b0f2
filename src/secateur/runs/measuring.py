"""The figures of a run: the scores, size and cost of its model compared with the reference, and its export."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PreTrainedModel

from secateur.configuration.schema import MeasureConfig
from secateur.cost import cost_of, disk_bytes, measure_latency, structure_of
from secateur.cost.inputs import fitting_lengths
from secateur.cost.runtimes import onnx_file
from secateur.errors import SecateurError
from secateur.export.card import model_card
from secateur.export.onnx import check_parity, export_onnx
from secateur.record import ModelFigures, OnnxExport, Record, write_record
from secateur.runs.evaluation import PREDICTIONS, SCORES, read_scores
from secateur.runs.workshop import Workshop
from secateur.structure.checkpoint import load, load_tokenizer

log = logging.getLogger(__name__)


def score(
    workshop: Workshop, model_folder: Path, *, reference: Path, folder: Path, start: Path | None
) -> tuple[ModelFigures, ModelFigures]:
    """Scores on ``test`` of the reference and of the run's model, whose predictions are written to ``folder``.

    Args:
        start: the model that a method without steps leaves unchanged, shared by runs; None if there are steps.
    """
    dense = read_scores(workshop.stored_evaluation(reference))
    if not (folder / SCORES).is_file():
        if start is None:
            workshop.evaluate(load(model_folder), folder)
        else:
            shared = workshop.stored_evaluation(start)
            for name in (PREDICTIONS, SCORES):  # the scores last: their presence marks the folder as complete
                shutil.copyfile(shared / name, folder / name)
    return (
        ModelFigures(folder=os.path.relpath(reference, folder), scores=dense),
        ModelFigures(folder=model_folder.name, scores=read_scores(folder)),
    )


def export(record: Record, folder: Path) -> None:
    """Export the model of the run in ``folder`` to ONNX, or check an existing export, and add it to ``record``.

    Raises:
        SecateurError: if the packages of the ``onnx`` extra are missing, or the export does not agree with PyTorch.
    """
    log.info("exporting to ONNX")
    model, target = load(folder / "model"), folder / "onnx"
    if target.is_dir():
        difference = check_parity(model, target)
    else:
        difference = export_onnx(model, load_tokenizer(folder / "model"), target)
    record.onnx = OnnxExport(folder=target.name, disk_bytes=disk_bytes(target), largest_difference=difference)


def export_finished(settings: MeasureConfig, record: Record, folder: Path) -> None:
    """Export the model of a finished run, and measure it again in PyTorch and ONNX Runtime."""
    export(record, folder)
    measure_again(settings, record, folder)


def measure_again(settings: MeasureConfig, record: Record, folder: Path) -> None:
    """Measure the models of a finished run on the device they were measured on, and write the record.

    Raises:
        SecateurError: if this machine does not have that device.
    """
    assert record.latency is not None
    device = torch.device(record.latency.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SecateurError(f"{folder}: was measured on {device}, which this machine lacks; use one that has it")
    measure(settings, record, folder, device=device)
    write_record(record, folder)


def measure(settings: MeasureConfig, record: Record, folder: Path, *, device: torch.device) -> None:
    """Measure parameters, FLOPs, memory, size and latency of both models of a run; write the model card.

    Args:
        device: the device to time on. ONNX Runtime runs on the CPU and is therefore timed only if this is the CPU.
    """
    assert record.reference is not None
    assert record.compressed is not None
    reference, compressed = (
        load(folder / figures.folder).to(device)  # type: ignore[arg-type]
        for figures in (record.reference, record.compressed)
    )
    lengths = fitting_lengths(settings.lengths, reference.config)
    for figures, model in ((record.reference, reference), (record.compressed, compressed)):
        figures.cost = cost_of(model, folder / figures.folder, lengths=lengths)
        figures.structure = structure_of(model, reference=reference)
    with _exported(record, folder, reference=reference, compressed=compressed) as onnx:
        record.latency = measure_latency(
            reference,
            compressed,
            batch_sizes=settings.batch_sizes,
            lengths=lengths,
            dtypes=settings.dtypes,  # type: ignore[arg-type]
            seconds=settings.seconds,
            onnx=onnx,
        )
    (folder / record.compressed.folder / "README.md").write_text(model_card(record), encoding="utf-8")


@contextmanager
def _exported(
    record: Record, folder: Path, *, reference: PreTrainedModel, compressed: PreTrainedModel
) -> Iterator[tuple[Path, Path] | None]:
    """The ONNX files of both models, if the run was exported; the reference's is temporary, for the timing only."""
    if record.onnx is None or reference.device.type != "cpu":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="secateur-onnx-") as scratch:
        dense = Path(scratch) / "reference"
        export_onnx(reference, load_tokenizer(folder / "model"), dense)
        yield dense / onnx_file(reference), folder / record.onnx.folder / onnx_file(compressed)
