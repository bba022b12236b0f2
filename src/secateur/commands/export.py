"""``secateur-export``: export the models of finished runs to ONNX, and time them in ONNX Runtime as well."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from secateur.configuration.extras import check_extra
from secateur.configuration.schema import MeasureConfig
from secateur.errors import SecateurError
from secateur.record import finished_runs

_DESCRIPTION = """\
Write the model of every finished run at or below the folders to <run>/onnx, check it against PyTorch, and time
both models of the run again, in PyTorch and in ONNX Runtime, with the run's own settings."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given."""
    parser = argparse.ArgumentParser(prog="secateur-export", description=_DESCRIPTION)
    parser.add_argument("folders", nargs="+", type=Path, help="runs or sweeps")
    try:
        export_folders(parser.parse_args(arguments).folders)
    except SecateurError as error:
        sys.exit(str(error))


def export_folders(folders: Sequence[Path]) -> None:
    """Export every finished run; one that was exported before is compared and timed again.

    Raises:
        SecateurError: if the packages of the ``onnx`` extra are missing, there is no finished run, a record cannot
            be read or written, another process works on a run, its model is gone, or an exported model is damaged or
            does not agree with PyTorch.
    """
    check_extra("onnx", asked="secateur-export")
    runs = finished_runs(folders)
    from transformers import AutoConfig

    from secateur.commands.launch import quiet_libraries
    from secateur.runs.measuring import export_finished
    from secateur.runs.run_folder import check_runs_writable, finished_run
    from secateur.structure.anatomy import check_linear_attention
    from secateur.structure.checkpoint_files import check_weights, read_config

    check_runs_writable(runs)
    quiet_libraries()
    for run in runs:
        check_weights(run / "model", read_config(run / "model"))
        config = AutoConfig.from_pretrained(run / "model")
        check_linear_attention(config, key=f"secateur-export {run}")
    for run in track(runs, description="exporting"):
        with finished_run(run) as record:  # as it is now: hours may have passed
            export_finished(MeasureConfig(**record.config["measure"]), record, run)
