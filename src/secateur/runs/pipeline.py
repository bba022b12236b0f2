"""One run from start to record: predecessor, steps, export, scores, cost, latency, pictures; resumable throughout."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from secateur.analysis.pictures import draw_pictures
from secateur.configuration.instantiation import set_in
from secateur.configuration.schema import Config
from secateur.data.examples import Lengths
from secateur.data.trained_lengths import keep_lengths
from secateur.distributed import is_leader, wait_for
from secateur.loggers import RunLog
from secateur.methods.base import Origins, State, Step
from secateur.methods.step_folder import MODEL, PER_GATE, finished_steps, per_gate_of, read_step, unfinished, write_step
from secateur.models import config_of, with_kept_zeros
from secateur.record import Record, StepRecord, write_record
from secateur.runs.measuring import export, measure, score
from secateur.runs.predecessor import (
    pretrained_model,
    ready_reference,
    reference_folder,
    segmented_folder,
    start_folder,
)
from secateur.runs.workshop import SCRATCH, Workshop, open_workshop
from secateur.store import key_of
from secateur.structure.checkpoint import load, save_model
from secateur.structure.decomposition import SEGMENTED, layout_of
from secateur.training.trainer import check_strategy

log = logging.getLogger(__name__)

VALIDATION = "validation"  # scores and predictions on val, if a search requests them


def run(
    config: Config, steps: Mapping[str, Step], record: Record, folder: Path, *, run_log: RunLog | None = None
) -> None:
    """Complete a run, filling in ``record`` along the way; curves are written to ``run_log``."""
    record.parents += [parent for step in steps.values() for parent in step.parents]
    workshop = open_workshop(config, config.start, run_log=run_log)
    processes = workshop.make_trainer(folder=folder).world_size
    check_strategy(config.trainer, processes=processes, skipping=any(step.skips_layers for step in steps.values()))
    for name, step in steps.items():
        with set_in(config.method, name):
            step.check_data(workshop.data, processes=processes)
    if any(step.segments for step in steps.values()):
        workshop.data.laid_out(SEGMENTED)  # refuses empty documents before a predecessor is trained
    else:
        workshop.check_slot(config_of(config.start))
    _check_given(workshop, config)
    start = start_folder(workshop, config.model, config.predecessor)

    def opened(model_folder: Path) -> PreTrainedModel:
        model = load(model_folder)
        return with_kept_zeros(model, config.start) if model_folder == start else model

    record.steps, last = run_steps(
        steps,
        workshop,
        start=start,
        opened=opened,
        origins=_origins(workshop, config, start),
        folder=folder / "steps",
        seed=config.seed,
    )
    if not is_leader():
        return
    model_folder = folder / "model"
    if not model_folder.is_dir():
        model = opened(last)
        if "doc_stride" in config.dataset.lengths():
            keep_lengths(model.config, Lengths(**config.dataset.lengths()))  # type: ignore[arg-type]  # only the lengths
        save_model(model, workshop.tokenizer, model_folder)
    if config.export.name == "onnx":
        export(record, folder)
    _take_figures(config, workshop, record, folder, start=None if steps else start)


def _check_given(workshop: Workshop, config: Config) -> None:
    """Refuse a predecessor or a reference that was not made for this run's data, before anything is trained."""
    given = config.predecessor.checkpoint
    if given is not None:
        workshop.check_head(load(given), key=f"predecessor.checkpoint={given}")
    reference = ready_reference(config.predecessor, reference=config.reference)
    if reference is not None and str(reference) != given:
        workshop.check_reference(reference)


def _origins(workshop: Workshop, config: Config, start: Path) -> Origins:
    def segmented() -> Path:
        return segmented_folder(workshop, config.model, config.predecessor)

    return Origins(
        pretrained=lambda: pretrained_model(workshop, config.model, seed=config.predecessor.seed),
        teacher=lambda: load(start),
        teacher_outputs=lambda: workshop.teacher_outputs(start),
        segmented=lambda: load(segmented()),
        segmented_outputs=lambda: workshop.teacher_outputs(segmented()),
    )


def _take_figures(config: Config, workshop: Workshop, record: Record, folder: Path, *, start: Path | None) -> None:
    """Score and measure the reference and the compressed model, and draw the results.

    Args:
        start: the folder of the initial model, if there are no steps that could change it.
    """
    reference = reference_folder(workshop, config.model, config.predecessor, reference=config.reference)
    log.info("scoring on test")
    figures = score(workshop, folder / "model", reference=reference, folder=folder, start=start)
    record.reference, record.compressed = figures
    if config.objective is not None:
        record.validation = _validated(workshop, folder)
    log.info("measuring cost and latency")
    device = workshop.make_trainer(folder=folder, alone=True).strategy.root_device
    measure(config.measure, record, folder, device=device)
    draw_pictures(record, folder)


def validate_finished(config: Config, record: Record, folder: Path) -> None:
    """Add scores on ``val`` to the record of a run that finished without them."""
    workshop = open_workshop(config, config.start)
    record.validation = _validated(workshop, folder)
    write_record(record, folder)


def _validated(workshop: Workshop, folder: Path) -> dict[str, float]:
    """The scores of a run's compressed model on ``val``."""
    return workshop.evaluate(load(folder / "model"), folder / VALIDATION, split="val")


def run_steps(
    steps: Mapping[str, Step],
    workshop: Workshop,
    *,
    start: Path,
    opened: Callable[[Path], PreTrainedModel],
    origins: Origins,
    folder: Path,
    seed: int,
) -> tuple[list[StepRecord], Path]:
    """Run each step that is not finished yet.

    Args:
        start: the folder of the model that the first step starts from.
        opened: loads the model of a folder, ``start`` or a step's.
        folder: the folder in which each step writes a subfolder.
        seed: the run's seed, from which each step's is derived.

    Returns:
        The records of all steps, and the folder of the final model.
    """
    done: list[StepRecord] = []
    last = start
    state: State | None = None
    for number, (name, step) in enumerate(steps.items()):
        step_folder = folder / f"{number:02d}-{name}"
        if not step_folder.is_dir():
            log.info("step %s", step_folder.name)
            state = state or _restored(opened(last), step_folder)
            state = _run_step(step, state, workshop, name=name, origins=origins, folder=step_folder, seed=seed)
        else:
            state = None
        if not is_leader():  # only the leader's files count
            wait_for(step_folder)
            state = None
        done.append(read_step(step_folder))
        last = step_folder / MODEL if step.changes_model else last
    return done, last


def _run_step(
    step: Step, state: State, workshop: Workshop, *, name: str, origins: Origins, folder: Path, seed: int
) -> State:
    """Run one step, whose results appear in ``folder`` all at once."""
    begin = time.monotonic()
    partial = unfinished(folder)
    if is_leader():
        partial.mkdir(parents=True, exist_ok=True)
    context = workshop.context(
        name=name,
        # Steps must not share random numbers: each has its own seed, derived from the run's.
        seed=int(key_of([seed, folder.name])[:8], 16) % 2**31,
        data_seed=seed,
        folder=partial,
        origins=origins,
        layout=layout_of(state.model.config),
    )
    state = step.run(state, context)
    if not is_leader():
        return state
    seconds = time.monotonic() - begin
    scores = workshop.evaluate(state.model, partial) if step.evaluate else None
    if step.changes_model:
        save_model(state.model, workshop.tokenizer, partial / MODEL)
    record = StepRecord(
        name=name,
        seconds=seconds,
        examples=step.examples_seen(context),
        scores=scores,
        details=dict(state.details),
    )
    write_step(partial, record, {kind: getattr(state, kind) for kind in PER_GATE})
    for leftover in partial.glob("*.ckpt"):
        leftover.unlink()
    shutil.rmtree(partial / SCRATCH, ignore_errors=True)
    partial.replace(folder)
    return dataclasses.replace(state, details={})


def _restored(model: PreTrainedModel, step_folder: Path) -> State:
    """The state before the step that will write ``step_folder``: ``model``, and what the previous step stored."""
    # Only earlier steps: if several processes train, the leader may be ahead of this one.
    earlier = [each for each in finished_steps(step_folder.parents[1]) if each.name < step_folder.name]
    kept: dict[str, Any] = dict(per_gate_of(earlier[-1])) if earlier else {}
    return State(model=model, **kept)
