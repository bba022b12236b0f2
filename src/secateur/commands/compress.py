"""The launcher: compose, check, run, record. Heavy imports are deferred until after ``--help`` and the cheap checks."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from secateur.commands.launch import config_path, print_tree, stopping_is_no_success
from secateur.configuration import naming
from secateur.configuration.checks import checked, checked_log
from secateur.configuration.schema import Config
from secateur.data.sources import fingerprint
from secateur.disk import DiskFullError, full_disk_reported
from secateur.distributed import is_leader
from secateur.errors import SecateurError
from secateur.runs.machine import machine, versions
from secateur.runs.run_folder import Alone, discard, discards_itself
from secateur.sweeps.objectives import objective_value
from secateur.sweeps.outcomes import ERROR_FILE, earlier_failure, record_in

if TYPE_CHECKING:
    from secateur.loggers import RunLog
    from secateur.methods.base import Step
    from secateur.record import Record

log = logging.getLogger(__name__)
naming.register()


@hydra.main(version_base="1.3", config_path=config_path(), config_name="compress")
def main(composed: DictConfig) -> Any:
    """Compress one model; returns the objective value for a search, or None."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    many = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        config = checked(composed)
        _check_launch(config)
        if many and (failure := earlier_failure(config, record_in(folder))):
            raise failure
        if is_leader():
            print_tree(naming.resolved(composed), title=folder.name)
        with stopping_is_no_success():
            record = compress(config, folder, asked=naming.resolved(composed))
    except Exception as error:
        if many:  # Hydra itself reports only the first failure, after all jobs have finished
            log.error("%s: %s", folder.name, error)
            if not isinstance(error, SecateurError) and is_leader():  # an internal error
                _leave_traceback(folder)
        raise
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # Hydra creates it before anything is checked
    if is_leader():
        _show(record)
    return objective_value(config, record) if is_leader() else None


def compress(config: Config, folder: Path, *, asked: dict[str, Any]) -> Record:
    """Run what ``config`` specifies in ``folder``, or what is left of it.

    Args:
        config: the typed config of the run.
        folder: the run's folder.
        asked: the composed config as plain values, for the record.

    Raises:
        SecateurError: if something is wrong with the settings or the data.
    """
    import torch

    from secateur.commands.launch import quiet_libraries
    from secateur.runs.building import check_buildable
    from secateur.runs.pipeline import run

    quiet_libraries()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    steps = check_buildable(config)
    run_log = checked_log(config.logger)
    folder.mkdir(parents=True, exist_ok=True)
    if not is_leader():
        record = new_record(config, folder, asked=asked)
        run(config, steps, record, folder)
        return record
    with full_disk_reported(folder), Alone(folder):
        if config.force and discards_itself():
            discard(folder)
        if earlier := _finished(config, folder):
            if run_log is not None and run_log.is_awaited:
                run_log.open(folder, config=asked)
                _end_log(run_log, earlier)
            return earlier
        return _recorded(config, steps, folder, asked=asked, run_log=run_log)


def new_record(config: Config, folder: Path, *, asked: dict[str, Any]) -> Record:
    """A record of the requested run, before anything is done."""
    from secateur.configuration.instantiation import build
    from secateur.record import Record
    from secateur.runs.predecessor import parent_of
    from secateur.training.trainer import with_precision

    parents = [parent_of(config.predecessor.checkpoint), parent_of(config.model.checkpoint)]
    return Record(
        status="running",
        name=folder.name,
        method=config.method["name"],
        model=config.model.name,
        dataset=config.dataset.name,
        distillation=config.distillation.name,
        sparsity=config.sparsity,
        seed=config.seed,
        predecessor_seed=config.predecessor.seed,
        metric=build(config.dataset.task, key="dataset.task").metric,
        config=asked,
        fingerprint=fingerprint(config.dataset.source()),
        parents=[parent.name for parent in parents if parent is not None],
        versions=versions(),
        machine={**machine(), "precision": with_precision(config.trainer)["precision"]},
    )


def _finished(config: Config, folder: Path) -> Record | None:
    """The record of a finished run, completed by an export or validation scores if requested; None if not finished."""
    from secateur.record import FILE_NAME, read_record
    from secateur.runs.measuring import export_finished
    from secateur.runs.pipeline import validate_finished

    if not (folder / FILE_NAME).is_file():
        return None
    try:
        earlier = read_record(folder)
    except SecateurError as error:
        raise SecateurError(f"{error}; force=true starts over") from error
    if earlier.status != "finished":
        return None
    if config.export.name == "onnx" and earlier.onnx is None:
        export_finished(config.measure, earlier, folder)
    if config.objective is not None and earlier.validation is None:
        validate_finished(config, earlier, folder)
    _report_done(earlier)
    return earlier


def _recorded(
    config: Config, steps: Mapping[str, Step], folder: Path, *, asked: dict[str, Any], run_log: RunLog | None
) -> Record:
    """Run, and leave a record and a log, however the run ends."""
    from secateur.record import write_record
    from secateur.runs.pipeline import run

    (folder / ERROR_FILE).unlink(missing_ok=True)
    record = new_record(config, folder, asked=asked)
    write_record(record, folder)
    begin = time.monotonic()
    opened: RunLog | None = None
    try:
        if run_log is not None:
            run_log.open(folder, config=asked)
            opened = run_log
        with full_disk_reported(folder):
            run(config, steps, record, folder, run_log=run_log)
            record.status, record.seconds = "finished", time.monotonic() - begin
            write_record(record, folder)
    except DiskFullError:  # not a failure, and no space to record one: on disk, the record still says running
        record.status = "running"
        raise
    except Exception as error:
        _record_failure(record, error, folder)
        raise
    finally:
        if opened is not None:
            _end_log(opened, record)
    return record


def _end_log(run_log: RunLog, record: Record) -> None:
    """Close the log; a failure to do so does not affect the run, whose results are on disk."""
    try:
        run_log.close(record)
    except Exception as error:
        log.warning("%s: its log ended early (%s: %s)", record.name, type(error).__name__, error)


def _check_launch(config: Config) -> None:
    """Refuse distributed training in a multirun within one process: each new process would start the entire sweep."""
    in_process = HydraConfig.get().mode == RunMode.MULTIRUN and "SUBMITIT_EXECUTOR" not in os.environ
    if in_process and str(config.trainer["strategy"]).startswith("ddp"):
        raise SecateurError(
            f"trainer.strategy={config.trainer['strategy']}: does not work in a multirun whose jobs run in the "
            "launching process; start the jobs one by one, or use hydra/launcher=local or slurm"
        )


def _record_failure(record: Record, error: Exception, folder: Path) -> None:
    from secateur.record import write_record

    record.status, record.error = "failed", str(error).splitlines()[0] if str(error) else type(error).__name__
    _leave_traceback(folder)
    write_record(record, folder)


def _leave_traceback(folder: Path) -> None:
    (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")


def _report_done(record: Record) -> None:
    current = version("secateur")
    by = record.versions.get("secateur")
    log.info(
        "%s: already finished%s; force=true starts over",
        record.name,
        "" if by == current else f" by secateur {by} (this is {current})",
    )


def _show(record: Record) -> None:
    from rich.console import Console

    from secateur.report.table import render

    Console().print(render([record]))
