"""The predecessor: the dense model fine-tuned on the task, trained once for all runs with the same settings."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from secateur.configuration.schema import ModelConfig, PredecessorConfig
from secateur.data.sources import fingerprint
from secateur.distributed import is_leader
from secateur.errors import SecateurError
from secateur.methods.base import Origins, State
from secateur.methods.finetune import FineTuning
from secateur.models import checkpoint_fingerprint, fresh_model, with_kept_zeros
from secateur.record import Record, read_record
from secateur.runs.workshop import Workshop, library_versions
from secateur.store import key_of, made_once
from secateur.structure.checkpoint import load, save_model
from secateur.structure.decomposition import PACKED, SEGMENTED, decompose, layout_of

log = logging.getLogger(__name__)


def start_folder(workshop: Workshop, model: ModelConfig, predecessor: PredecessorConfig) -> Path:
    """The folder of the model that a run compresses: a given fine-tuned model, or the predecessor."""
    if predecessor.checkpoint is not None:
        return Path(predecessor.checkpoint)
    return predecessor_folder(workshop, model, predecessor)


def reference_folder(workshop: Workshop, model: ModelConfig, predecessor: PredecessorConfig, *, reference: str) -> Path:
    """The folder of the dense model that counts as 100 % in every table.

    A stacked run inherits it from its parent's record. If the parent was compressed on other data and is given as
    ``model.checkpoint``, it is the parent's reference, fine-tuned here with the same settings.
    """
    if (ready := ready_reference(predecessor, reference=reference)) is not None:
        return ready
    parent = parent_of(model.checkpoint)
    if parent is None:
        return predecessor_folder(workshop, model, predecessor)
    assert model.checkpoint is not None
    # Zeros that a dense model has by chance must not be kept, even if the parent model's zeros are.
    dense = dataclasses.replace(model, checkpoint=str(_reference_of(model.checkpoint, parent)), keep_zeros=False)
    return predecessor_folder(workshop, dense, predecessor)


def ready_reference(predecessor: PredecessorConfig, *, reference: str) -> Path | None:
    """The folder of the reference if it is given, or inherited unchanged; None if it has to be fine-tuned here."""
    if reference != "auto":
        return Path(reference)
    if predecessor.checkpoint is None:
        return None
    parent = parent_of(predecessor.checkpoint)
    return _reference_of(predecessor.checkpoint, parent) if parent else Path(predecessor.checkpoint)


def parent_of(checkpoint: str | None) -> Record | None:
    """The record of the run that produced ``checkpoint``; None if no run did."""
    if checkpoint is None or not (Path(checkpoint).parent / "record.json").is_file():
        return None
    return read_record(Path(checkpoint).parent)


def check_predecessor(model: ModelConfig, predecessor: PredecessorConfig, *, reference: str) -> None:
    """Refuse settings of the predecessor, or given models, that cannot be used, before anything is loaded.

    Raises:
        SecateurError: if a setting is out of range, a folder has no config.json, or a parent's reference is missing.
    """
    given = {"predecessor.checkpoint": predecessor.checkpoint}
    if reference != "auto":
        given["reference"] = reference
    for key, folder in given.items():
        if folder is not None and not (Path(folder) / "config.json").is_file():
            raise SecateurError(f"{key}={folder}: not a model folder; give one that contains config.json")
    try:
        _phase(predecessor)
    except SecateurError as error:
        raise SecateurError(f"predecessor.{error}") from error
    stacked_on = predecessor.checkpoint or model.checkpoint
    if reference == "auto" and (parent := parent_of(stacked_on)) is not None:
        assert stacked_on is not None
        dense = _reference_of(stacked_on, parent)
        if not (dense / "config.json").is_file():
            raise SecateurError(
                f"reference=auto: {dense}, the reference of the parent run {parent.name}, is missing; give the folder "
                "of the dense model by reference=FOLDER"
            )


def segmented_folder(workshop: Workshop, model: ModelConfig, predecessor: PredecessorConfig) -> Path:
    """The folder of the segmented predecessor, which reads question and document in separate slots.

    It is trained with the predecessor's settings: from the predecessor's own initial model, or from a given
    predecessor, which may already be compressed.
    """
    return predecessor_folder(workshop, model, predecessor, layout=SEGMENTED)


def predecessor_folder(
    workshop: Workshop, model: ModelConfig, predecessor: PredecessorConfig, *, layout: str = PACKED
) -> Path:
    """The folder of the dense model in the store, where it is trained on first use."""
    settings = _settings(predecessor)
    shape: dict[str, Any] = {"architecture": model.architecture, "vocabulary_size": model.vocabulary_size}
    if model.checkpoint is not None:
        shape = {"checkpoint": checkpoint_fingerprint(model.checkpoint, revision=model.revision)}
    if predecessor.checkpoint is not None:
        shape = {"start": checkpoint_fingerprint(predecessor.checkpoint)}
    if model.keep_zeros:
        shape["keep_zeros"] = True
    key = key_of(
        {
            "model": shape,
            "rows": fingerprint(workshop.dataset.source()),
            "limit_train": workshop.dataset.limit_train,
            "task": workshop.task_settings(),
            "layout": layout,
            "training": settings,
            "arithmetic": workshop.arithmetic,
            "versions": library_versions(),
        }
    )
    name = f"{model.name}-{workshop.dataset.name}-seed{predecessor.seed}-{key}"
    phase = _phase(predecessor)
    folder = made_once(
        workshop.store / "predecessors" / name,
        lambda partial: _train(
            workshop, phase, partial, start=_untrained(workshop, model, predecessor, layout), seed=predecessor.seed
        ),
        what=f"the predecessor {name}",
        by_all=True,
    )
    return folder / "model"


def _settings(predecessor: PredecessorConfig) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(predecessor).items() if key != "checkpoint"}


def _phase(predecessor: PredecessorConfig) -> FineTuning:
    return FineTuning(**{name: value for name, value in _settings(predecessor).items() if name != "seed"})


def _untrained(workshop: Workshop, model: ModelConfig, predecessor: PredecessorConfig, layout: str) -> PreTrainedModel:
    """The model to fine-tune: a given predecessor, or the configured model with a fresh head."""
    if predecessor.checkpoint is None:
        start = pretrained_model(workshop, model, seed=predecessor.seed)
    else:
        given = dataclasses.replace(model, checkpoint=predecessor.checkpoint)
        start = with_kept_zeros(load(predecessor.checkpoint), given)
    if layout == SEGMENTED:
        decompose(start, lower_layers=0, question_slot=workshop.question_slot)
    return start


def _train(workshop: Workshop, phase: FineTuning, folder: Path, *, start: PreTrainedModel, seed: int) -> None:
    """Fine-tune into ``folder``, which may contain the checkpoint of a process that died."""
    log.info("training the predecessor in %s", folder)
    begin = time.monotonic()
    work = folder / "predecessor"
    if is_leader():
        work.mkdir(exist_ok=True)
    layout = layout_of(start.config)
    context = workshop.context(
        name="predecessor", seed=seed, data_seed=seed, folder=work, origins=NO_ORIGINS, layout=layout
    )
    trained = phase.run(State(model=start), context).model
    if not is_leader():
        return
    save_model(trained, workshop.tokenizer, folder / "model")
    summary = {"seconds": time.monotonic() - begin, "examples": phase.examples_seen(context)}
    (folder / "training.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    shutil.rmtree(work)


def pretrained_model(workshop: Workshop, model: ModelConfig, *, seed: int) -> PreTrainedModel:
    """The model before it is trained on the task, with a head initialised from ``seed``."""
    return fresh_model(
        model,
        auto_class=workshop.task.auto_class,
        head=workshop.task.head_settings(workshop.data.examples["train"]),
        tokenizer=workshop.tokenizer,
        seed=seed,
        keep_head=workshop.task.keeps_head,
    )


def _no_origin() -> Any:
    raise AssertionError("nothing came before a predecessor")


NO_ORIGINS = Origins(**dict.fromkeys((field.name for field in dataclasses.fields(Origins)), _no_origin))


def _reference_of(checkpoint: str, parent: Record) -> Path:
    """The folder of the parent's reference, which its record gives relative to itself.

    Raises:
        SecateurError: if there is none.
    """
    if parent.reference is None:
        raise SecateurError(f"reference=auto: the parent run {parent.name} has no reference; finish that run first")
    return Path(os.path.normpath(Path(checkpoint).parent / parent.reference.folder))
