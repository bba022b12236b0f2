"""Checks of a composed config before anything is loaded: mistakes are reported in one line with the remedy.

Hydra refuses plain unknown overrides, but ``+key=…`` and a user's own YAML bypass that check. Therefore the composed
config is merged into the typed schema, and the keys of every ``_target_`` are compared with its signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from secateur.configuration.extras import check_extra
from secateur.configuration.instantiation import as_written, build, typed, unknown_key
from secateur.configuration.schema import (
    Config,
    DatasetConfig,
    DistillationConfig,
    EvaluationConfig,
    ExportConfig,
    LoggerConfig,
    MeasureConfig,
)
from secateur.configuration.targets import check_targets
from secateur.data.sources import resolve_files
from secateur.errors import SecateurError
from secateur.store import check_writable

if TYPE_CHECKING:
    from secateur.loggers import RunLog

# Options of Lightning's trainer that the phases set themselves, and the settings to use instead.
_TRAINER_INSTEAD = {
    "max_epochs": "predecessor.epochs and method.steps.*.epochs",
    "max_steps": "predecessor.epochs and method.steps.*.epochs",
    "accumulate_grad_batches": "predecessor.accumulate_grad_batches and method.steps.*.accumulate_grad_batches",
    "gradient_clip_val": "predecessor.max_grad_norm and method.steps.*.max_grad_norm",
    "gradient_clip_algorithm": "predecessor.max_grad_norm and method.steps.*.max_grad_norm",
    "callbacks": "callbacks",
    "logger": "logger",
    "enable_checkpointing": "callbacks.checkpoint.every_n_train_steps",
    **dict.fromkeys(("default_root_dir", "enable_model_summary", "num_sanity_val_steps", "use_distributed_sampler")),
}


def checked(composed: DictConfig) -> Config:
    """The typed config of a run, with every key known and every value in range.

    Raises:
        SecateurError: for the first problem found.
    """
    config = typed(composed, Config)
    _check_method(composed)
    _check_amount(config.sparsity, composed)
    _check_loss(config.distillation, composed)
    for key, seed in {"seed": config.seed, "predecessor.seed": config.predecessor.seed}.items():
        if not 0 <= seed < 2**32:
            raise SecateurError(f"{key}={seed}: must lie in [0, 2^32)")
    check_evaluation(config.evaluation)
    check_trainer(config.trainer)
    if config.threads is not None and config.threads < 1:
        raise SecateurError(f"threads={config.threads}: must be at least 1, or null for all cores")
    if config.retry not in (None, "failed"):
        raise SecateurError(
            f"retry={config.retry}: must be failed, or null to leave failed jobs of a multirun as they are"
        )
    check_dataset(config.dataset)
    check_measure(config.measure)
    check_export(config.export)
    check_writable_paths(config)
    check_targets(config, composed=composed)  # last, since it imports what is named
    build(config.objective, key="objective")
    return config


def check_dataset(dataset: DatasetConfig) -> None:
    """Check that lengths are compatible, limits are above 0, and files exist.

    Raises:
        SecateurError: for the first problem found.
    """
    lengths = dataset.lengths()
    for name, length in lengths.items():
        if length < 1:
            raise SecateurError(f"dataset.{name}={length}: must be at least 1")
    for name in ("limit_train", "limit_test"):
        limit = getattr(dataset, name)
        if limit is not None and limit < 1:
            raise SecateurError(f"dataset.{name}={limit}: must be at least 1, or null for all")
    if dataset.test_share is not None and not 0 < dataset.test_share < 1:
        raise SecateurError(f"dataset.test_share={dataset.test_share}: must lie in (0, 1), or be null")
    # Next to the longest question, a window must advance by at least one token; there are at most 4 special tokens.
    room = dataset.max_seq_length - lengths.get("max_question_length", 0) - 4
    if room < 1:
        raise SecateurError(f"dataset.max_seq_length={dataset.max_seq_length}: leaves no room for the text")
    if lengths.get("doc_stride", 0) >= room:
        raise SecateurError(
            f"dataset.doc_stride={dataset.doc_stride}: must be below max_seq_length - max_question_length - 4 = {room}"
        )
    resolve_files(dataset.source())


def check_evaluation(evaluation: EvaluationConfig) -> None:
    """A batch size of at least 1.

    Raises:
        SecateurError: if it is not.
    """
    if evaluation.batch_size < 1:
        raise SecateurError(f"evaluation.batch_size={evaluation.batch_size}: must be at least 1")


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse options of Lightning's trainer that the phases set themselves.

    Raises:
        SecateurError: naming the setting that takes its place, where there is one.
    """
    for name, instead in _TRAINER_INSTEAD.items():
        if name in trainer:
            remedy = f"set {instead}" if instead else "leave it out"
            raise SecateurError(f"trainer.{name}={trainer[name]}: has no effect; {remedy}")


def check_measure(measure: MeasureConfig) -> None:
    """Check that sizes are above 0 and that models can be timed in the dtypes.

    Raises:
        SecateurError: for the first value that is invalid.
    """
    for name in ("batch_sizes", "lengths", "dtypes"):
        if not getattr(measure, name):
            raise SecateurError(f"measure.{name}=[]: give at least one")
    for name in ("batch_sizes", "lengths"):
        for value in getattr(measure, name):
            if value < 1:
                raise SecateurError(f"measure.{name}={value}: must be at least 1")
    if measure.seconds <= 0:
        raise SecateurError(f"measure.seconds={measure.seconds}: must be above 0")
    for dtype in measure.dtypes:
        if dtype not in ("float32", "bfloat16"):
            raise SecateurError(f"measure.dtypes={dtype}: must be float32 or bfloat16")


def check_export(export: ExportConfig) -> None:
    """Check that the export format is known and its packages are installed.

    Raises:
        SecateurError: if the format is unknown or packages are missing.
    """
    if export.name not in ("none", "onnx"):
        raise SecateurError(f"export.name={export.name}: must be none or onnx")
    if export.name == "onnx":
        check_extra("onnx", asked="export=onnx")


def checked_log(logger: LoggerConfig) -> RunLog | None:
    """The chosen logger, or None.

    Raises:
        SecateurError: if it lacks something, such as a key.
    """
    run_log: RunLog | None = build(logger.log, key="logger.log")
    if run_log is not None:
        run_log.check()
    return run_log


def check_writable_paths(config: Config) -> None:
    """Refuse output folders that cannot be written.

    Raises:
        SecateurError: for the first such folder.
    """
    for key in ("runs", "sweeps", "store"):
        check_writable(Path(getattr(config.paths, key)), key=f"paths.{key}")


def _check_method(composed: DictConfig) -> None:
    """Refuse steps missing from the order and settings that no step reads: composition merges them silently."""
    method = OmegaConf.to_container(composed.method, resolve=False)
    assert isinstance(method, dict)
    for key in ("name", "order", "steps"):
        if key not in method:
            raise SecateurError(f"method.{key}: is missing; a method has a name, an order and steps")
    order, steps = method["order"], method["steps"] or {}
    _check_steps(order, steps)
    read = set(re.findall(r"\$\{method\.(\w+)", str(steps)))
    for key in map(str, method):
        if key not in {"name", "order", "steps"} | read:
            raise unknown_key(key, read, where="method")


def _check_steps(order: Any, steps: Mapping[str, Any]) -> None:
    """Check that every step is one, and that the order names each exactly once."""
    if not isinstance(order, list):
        raise SecateurError(
            f"method.order={as_written(order)}: must be a list of steps; there are {', '.join(steps) or 'none'}"
        )
    for name in order:
        if order.count(name) > 1:
            raise SecateurError(f"method.order: {name} comes twice; give the second step a name of its own")
    for name in order:
        if name not in steps:
            raise SecateurError(f"method.order: no step is called {name}; there are {', '.join(steps) or 'none'}")
    for name in steps:
        if name not in order:
            raise unknown_key(name, order, where="method.steps")
    for name, step in steps.items():
        if not isinstance(step, dict) or "_target_" not in step:
            raise SecateurError(
                f"method.steps.{name}={as_written(step)}: is not a step, which has a _target_; to leave the step out, "
                f"give method.order without it and '~method.steps.{name}'"
            )


def _check_amount(sparsity: float | None, composed: DictConfig) -> None:
    """Check that ``sparsity``, if given, is a fraction and that some step reads it."""
    if sparsity is None:
        return
    if not 0 <= sparsity < 1:
        raise SecateurError(f"sparsity={sparsity}: must lie in [0, 1): it is the fraction of the encoder to remove")
    if not _is_read(composed, "sparsity"):
        raise SecateurError(f"sparsity={sparsity}: has no effect on method={composed.method.name}; set sparsity=null")


def _is_read(composed: DictConfig, key: str) -> bool:
    """Whether some step of the method refers to ``key``, which is outside the method's own settings."""
    return f"${{{key}}}" in str(OmegaConf.to_container(composed.method, resolve=False))


def _check_loss(distillation: DistillationConfig, composed: DictConfig) -> None:
    """Refuse a loss that no step reads, and an experiment's loss settings merged onto a different distillation."""
    loss = distillation.loss
    if isinstance(loss, dict) and "_target_" not in loss:
        name = next(iter(loss), "")
        raise SecateurError(
            f"distillation.loss.{name}={loss.get(name)}: has no effect on distillation={distillation.name}; choose an "
            "experiment that does not set it"
        )
    if loss is not None and not _is_read(composed, "distillation.loss"):
        raise SecateurError(
            f"distillation={distillation.name}: has no effect on method={composed.method.name}, which does not train "
            "with it; set distillation=none"
        )
