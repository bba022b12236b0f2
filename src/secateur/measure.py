"""``secateur-measure``: time the models of finished runs again, one after the other, in one quiet process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from secateur.configuration.checks import check_measure
from secateur.configuration.extras import check_extra
from secateur.configuration.schema import MeasureConfig
from secateur.errors import SecateurError
from secateur.record import find_records, read_record


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure cost and latency of every finished run below the given folders, and write them into the records."""
    options = _parser().parse_args(arguments)
    try:
        measure_folders(options.folders, _settings(options))
    except SecateurError as error:
        sys.exit(str(error))


def measure_folders(folders: Sequence[Path], settings: MeasureConfig) -> None:
    """Measure every finished run again.

    Raises:
        SecateurError: if a setting is out of range, there is no run, a record cannot be read, or a run was exported and
            ONNX Runtime is missing.
    """
    check_measure(settings)
    runs = finished_runs(folders)
    if any(read_record(run).onnx for run in runs):
        check_extra("onnx", asked="timing an exported run")
    from secateur.launch import quiet_libraries
    from secateur.measuring import measure_again

    quiet_libraries()
    for run in track(runs, description="measuring"):
        measure_again(settings, read_record(run), run)


def finished_runs(folders: Sequence[Path]) -> list[Path]:
    """The folder of every finished run at or below the given ones.

    Raises:
        SecateurError: if there is none, or a record cannot be read.
    """
    runs = [path.parent for folder in folders for path in find_records(folder)]
    finished = [run for run in runs if read_record(run).status == "finished"]
    if not finished:
        raise SecateurError(f"{', '.join(map(str, folders))}: no finished run there; give a run's or a sweep's folder")
    return finished


def _settings(options: argparse.Namespace) -> MeasureConfig:
    return MeasureConfig(
        batch_sizes=options.batch_sizes, lengths=options.lengths, dtypes=options.dtypes, seconds=options.seconds
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="secateur-measure", description=main.__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="runs or sweeps")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 32], help="sequences of one forward pass")
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 384], help="tokens of a sequence")
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--seconds", type=float, default=3.0, help="spent on each setting")
    return parser
