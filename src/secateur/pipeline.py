"""One run from start to record: predecessor, steps, export, scores, cost, latency. Resumable at every arrow."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from transformers import PreTrainedModel

from secateur.card import model_card
from secateur.checks import build
from secateur.config import Config, MeasureConfig, ModelConfig
from secateur.cost import cost_of, disk_bytes, measure_latency, structure_of
from secateur.distributed import is_leader, wait_for
from secateur.export.onnx import MODEL_FILE, check_parity, export_onnx
from secateur.methods.base import State, Step
from secateur.models import check_model
from secateur.predecessor import check_predecessor, reference_folder, start_folder
from secateur.record import ModelFigures, OnnxExport, Record, StepRecord, write_record
from secateur.store import key_of
from secateur.structure.anatomy import max_positions_of
from secateur.structure.checkpoint import load, load_tokenizer, save_model
from secateur.structure.gates import PerGate
from secateur.workshop import Workshop, open_workshop

log = logging.getLogger(__name__)

STEP_FILE = "step.json"


def check_buildable(config: Config) -> dict[str, Step]:
    """The method's steps in order, built from their settings; whatever can be refused early is refused here.

    Raises:
        SecateurError: if a step, the task or the model cannot be as the config says.
    """
    build(config.dataset.task, key="dataset.task")
    build(config.distillation.loss, key="distillation.loss")
    steps = {name: build(config.method["steps"][name], key=f"method.steps.{name}") for name in config.method["order"]}
    check_predecessor(config.predecessor, reference=config.reference)
    if config.predecessor.checkpoint is None:
        check_model(config.model, max_seq_length=config.dataset.max_seq_length)
    return steps


def run(config: Config, steps: Mapping[str, Step], record: Record, folder: Path) -> None:
    """Do what is left to do of a run, filling in ``record`` on the way."""
    workshop = open_workshop(
        config.dataset,
        _vocabulary_owner(config),
        trainer=config.trainer,
        callbacks=config.callbacks,
        evaluation=config.evaluation,
        store=Path(config.paths.store),
    )
    start = start_folder(workshop, config.model, config.predecessor)
    if config.predecessor.checkpoint is not None:
        workshop.check_head(load(start), key=f"predecessor.checkpoint={start}")
    record.steps, last = run_steps(steps, workshop, start=start, folder=folder / "steps", seed=config.seed)
    if not is_leader():
        return
    model_folder = folder / "model"
    if not model_folder.is_dir():
        save_model(load(last), workshop.tokenizer, model_folder)
    if config.export.name == "onnx":
        export(record, folder)
    reference = reference_folder(workshop, config.model, config.predecessor, reference=config.reference)
    log.info("scoring on test")
    figures = score(workshop, model_folder, reference=reference, folder=folder, unchanged=not steps)
    record.reference, record.compressed = figures
    log.info("measuring cost and latency")
    measure(config.measure, record, folder)


def _vocabulary_owner(config: Config) -> ModelConfig:
    """The model whose vocabulary a run uses: the one that it starts from."""
    if config.predecessor.checkpoint is None:
        return config.model
    return dataclasses.replace(config.model, checkpoint=config.predecessor.checkpoint, vocabulary_size=None)


def run_steps(
    steps: Mapping[str, Step], workshop: Workshop, *, start: Path, folder: Path, seed: int
) -> tuple[list[StepRecord], Path]:
    """Run each step that is not finished yet.

    Returns:
        What each step did, and the model folder that the last one left.
    """
    done: list[StepRecord] = []
    last = start
    state: State | None = None
    for number, (name, step) in enumerate(steps.items()):
        step_folder = folder / f"{number:02d}-{name}"
        if not step_folder.is_dir():
            log.info("step %s", step_folder.name)
            state = state or _restored(last, step_folder)
            state = _run_step(step, state, workshop, name=name, start=start, folder=step_folder, seed=seed)
        else:
            state = None
        if not is_leader():  # what the leader wrote is what counts
            wait_for(step_folder)
            state = None
        done.append(StepRecord.model_validate_json((step_folder / STEP_FILE).read_text(encoding="utf-8")))
        last = step_folder / "model" if step.changes_model else last
    return done, last


def _run_step(
    step: Step, state: State, workshop: Workshop, *, name: str, start: Path, folder: Path, seed: int
) -> State:
    """One step, written to ``folder`` whole."""
    begin = time.monotonic()
    partial = folder.with_name(folder.name + ".partial")
    if is_leader():
        partial.mkdir(parents=True, exist_ok=True)
    context = workshop.context(
        name=name,
        # Steps must not share random numbers: each has a seed of its own, derived from the run's.
        seed=int(key_of([seed, folder.name])[:8], 16) % 2**31,
        folder=partial,
        teacher_outputs=lambda: workshop.teacher_outputs(start),
    )
    state = step.run(state, context)
    if not is_leader():
        return state
    seconds = time.monotonic() - begin
    scores = workshop.evaluate(state.model, partial) if step.evaluate else None
    if step.changes_model:
        save_model(state.model, workshop.tokenizer, partial / "model")
    for kind in ("importance", "gates"):
        per_gate = getattr(state, kind)
        if per_gate is not None:
            per_gate.save(partial / f"{kind}.safetensors")
    record = StepRecord(name=name, seconds=seconds, examples=step.examples_seen(context), scores=scores)
    (partial / STEP_FILE).write_text(record.model_dump_json(indent=2), encoding="utf-8")
    for leftover in partial.glob("*.ckpt"):
        leftover.unlink()
    partial.replace(folder)
    return state


def _restored(model_folder: Path, step_folder: Path) -> State:
    """The state before the step that will write ``step_folder``: the model, and what the last step said of it."""
    finished = sorted(folder for folder in step_folder.parent.glob("[0-9][0-9]-*") if folder.suffix != ".partial")
    kept = {
        kind: PerGate.load(finished[-1] / f"{kind}.safetensors")
        for kind in ("importance", "gates")
        if finished and (finished[-1] / f"{kind}.safetensors").is_file()
    }
    return State(model=load(model_folder), **kept)


def score(
    workshop: Workshop, model_folder: Path, *, reference: Path, folder: Path, unchanged: bool
) -> tuple[ModelFigures, ModelFigures]:
    """Scores on ``test`` of the reference and of the run's model; a method without steps leaves the reference."""
    dense = ModelFigures(folder=os.path.relpath(reference, folder), scores=workshop.stored_scores(reference))
    predictions = folder / "predictions.json"
    if unchanged and not predictions.is_file():
        return dense, ModelFigures(folder=model_folder.name, scores=dense.scores)
    scores = (
        json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        if (folder / "scores.json").is_file()
        else workshop.evaluate(load(model_folder), folder)
    )
    return dense, ModelFigures(folder=model_folder.name, scores=scores)


def export(record: Record, folder: Path) -> None:
    """The model of the run in ``folder`` as ONNX, made unless it is there.

    Raises:
        SecateurError: if the packages of the ``onnx`` extra are missing, or it does not agree with PyTorch.
    """
    log.info("exporting to ONNX")
    model, target = load(folder / "model"), folder / "onnx"
    if target.is_dir():
        difference = check_parity(model, target)
    else:
        difference = export_onnx(model, load_tokenizer(folder / "model"), target)
    record.onnx = OnnxExport(folder=target.name, disk_bytes=disk_bytes(target), largest_difference=difference)


def export_finished(settings: MeasureConfig, record: Record, folder: Path) -> None:
    """Export the model of a finished run, time both its models in PyTorch and ONNX Runtime, and write the record."""
    export(record, folder)
    measure(settings, record, folder)
    write_record(record, folder)


def measure(settings: MeasureConfig, record: Record, folder: Path) -> None:
    """Parameters, FLOPs, memory, size and latency of both models of the run in ``folder``; the model's card."""
    assert record.reference is not None
    assert record.compressed is not None
    reference, compressed = (load(folder / figures.folder) for figures in (record.reference, record.compressed))
    lengths = [length for length in settings.lengths if length <= max_positions_of(reference.config)]
    for figures, model in ((record.reference, reference), (record.compressed, compressed)):
        figures.cost = cost_of(model, folder / figures.folder, lengths=lengths)
        figures.structure = structure_of(model, reference=reference)
    with _exported(record, folder, reference=reference) as onnx:
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
def _exported(record: Record, folder: Path, *, reference: PreTrainedModel) -> Iterator[tuple[Path, Path] | None]:
    """The ONNX files of reference and compressed model, where the run was exported; the former is for the timing."""
    if record.onnx is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="secateur-onnx-") as scratch:
        dense = Path(scratch) / "reference"
        export_onnx(reference, load_tokenizer(folder / "model"), dense)
        yield dense / MODEL_FILE, folder / record.onnx.folder / MODEL_FILE


def discard(folder: Path) -> None:
    """Forget an earlier run of the same name."""
    for path in folder.glob("[!.]*"):  # not the lock that this process holds
        shutil.rmtree(path) if path.is_dir() else path.unlink()
