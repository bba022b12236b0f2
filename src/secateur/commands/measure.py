"""``secateur-measure``: measure the models of finished runs again, one run after the other, in a single process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.progress import track

from secateur.configuration.checks import check_measure
from secateur.configuration.extras import check_extra
from secateur.configuration.schema import MeasureConfig
from secateur.errors import SecateurError
from secateur.record import Record, finished_runs


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the cost and latency of every finished run below the given folders, and write them to the records."""
    options = _parser().parse_args(arguments)
    try:
        measure_folders(options.folders, **_asked(options))
    except SecateurError as error:
        sys.exit(str(error))


def measure_folders(folders: Sequence[Path], **asked: Any) -> None:
    """Measure every finished run again, with its own settings of ``measure`` except those given in ``asked``.

    Raises:
        SecateurError: if a setting is out of range, there is no finished run, a record cannot be read or written,
            another process works on a run, or a run was exported and ONNX Runtime is missing.
    """
    records = finished_runs(folders)
    for record in records.values():
        check_measure(_settings(record, asked))
    if any(record.onnx for record in records.values()):
        check_extra("onnx", asked="timing an exported run")
    from secateur.commands.launch import quiet_libraries
    from secateur.runs.measuring import measure_again
    from secateur.runs.run_folder import check_runs_writable, finished_run

    check_runs_writable(records)
    quiet_libraries()
    for run in track(records, description="measuring"):
        with finished_run(run) as record:  # as it is now: hours may have passed
            measure_again(_settings(record, asked), record, run)


def _settings(record: Record, asked: Mapping[str, Any]) -> MeasureConfig:
    return MeasureConfig(**{**record.config["measure"], **asked})


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    names = (field.name for field in fields(MeasureConfig))
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-measure", description=f"{main.__doc__} By default, each run's own measurement settings are used."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="runs or sweeps")
    parser.add_argument("--batch-sizes", nargs="+", type=int, help="sequences per forward pass")
    parser.add_argument("--lengths", nargs="+", type=int, help="tokens per sequence")
    parser.add_argument("--dtypes", nargs="+", help="float32, bfloat16")
    parser.add_argument("--seconds", type=float, help="seconds spent on each setting")
    return parser
