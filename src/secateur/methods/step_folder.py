"""The folder of a step in a run's ``steps``: its model, importance and gates, and its record.

While a step runs, its folder has a temporary name, so a folder with the final name is always complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secateur.record import StepRecord
from secateur.structure.gates import PerGate

MODEL = "model"
PER_GATE = ("importance", "gates")
_RECORD = "step.json"
_UNFINISHED = ".partial"


def unfinished(folder: Path) -> Path:
    """The name of a step's ``folder`` until it is complete."""
    return folder.with_name(folder.name + _UNFINISHED)


def finished_steps(run: Path) -> list[Path]:
    """The folders of the steps that a run has finished, in order."""
    return sorted(path for path in run.glob("steps/[0-9][0-9]-*") if path.suffix != _UNFINISHED)


def write_step(folder: Path, record: StepRecord, per_gate: Mapping[str, PerGate | None]) -> None:
    """Write a step's record, and those of ``PER_GATE`` that exist."""
    for kind, values in per_gate.items():
        if values is not None:
            values.save(_file(folder, kind))
    (folder / _RECORD).write_text(record.model_dump_json(indent=2), encoding="utf-8")


def read_step(folder: Path) -> StepRecord:
    """Read a step's record."""
    return StepRecord.model_validate_json((folder / _RECORD).read_text(encoding="utf-8"))


def per_gate_of(folder: Path) -> dict[str, PerGate]:
    """Read those of ``PER_GATE`` that a step has saved."""
    return {kind: PerGate.load(_file(folder, kind)) for kind in PER_GATE if _file(folder, kind).is_file()}


def last_gates(run: Path) -> Path | None:
    """The folder of the last step of a run that set gates; None if no step did."""
    return next((step for step in reversed(finished_steps(run)) if _file(step, "gates").is_file()), None)


def _file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.safetensors"
