"""Shared by the benchmarks: the record, saved after every measurement, and the common options."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from secateur.disk import write_whole
from secateur.runs.machine import machine, versions

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
CHECKPOINT = SHARED / "models" / "minilm-l6-h384"
SQUAD = SHARED / "data" / "squad_v1"


class Figure(BaseModel):
    """One result of a benchmark.

    Attributes:
        aim: what it should reach, in the same unit; None if it only explains another figure.
        better: whether a higher or a lower value is better.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    value: float
    unit: str
    aim: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.better == "higher" else self.value <= self.aim


class BenchmarkRecord(BaseModel):
    """What one benchmark measured, and under which circumstances.

    Attributes:
        setting: everything that was requested: model, data, steps, seeds.
        measurements: in the order in which they were taken, each with a description of what was measured.
        figures: the results derived from the measurements.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, ser_json_inf_nan="strings")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    benchmark: str
    status: Literal["running", "finished", "skipped"] = "running"
    reason: str | None = None
    setting: dict[str, Any]
    machine: dict[str, Any] = Field(default_factory=machine)
    versions: dict[str, str] = Field(default_factory=versions)
    measurements: list[dict[str, Any]] = Field(default_factory=list)
    figures: list[Figure] = Field(default_factory=list)


class Benchmark:
    """A running benchmark; every measurement is written to its file immediately."""

    def __init__(self, name: str, *, setting: dict[str, Any], output: Path) -> None:
        self.record = BenchmarkRecord(benchmark=name, setting=setting)
        self.output = output
        self._write()

    def add(self, **measurement: Any) -> None:
        """Keep one measurement."""
        self.record.measurements.append(measurement)
        self._write()
        print(", ".join(f"{name} {_shown(value)}" for name, value in measurement.items()), flush=True)

    def finish(self, figures: Iterable[Figure]) -> None:
        """Record the results of the measurements."""
        self.record.figures = list(figures)
        self.record.status = "finished"
        self._write()
        for figure in self.record.figures:
            aim = "" if figure.aim is None else f" (aim {figure.aim:g})"
            print(f"{figure.name}: {figure.value:.3g} {figure.unit}{aim}")
        print(self.output)

    def skip(self, reason: str) -> None:
        """Record why nothing can be measured here."""
        self.record.status, self.record.reason = "skipped", reason
        self._write()
        print(f"skipped: {reason}")

    def _write(self) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.output, self.record.model_dump_json(by_alias=True, indent=2) + "\n")


class Stopwatch:
    """Adds up seconds between start and stop: wall time, and processor time of all threads of this process.

    Under other load the latter is the steadier of the two; without load and on one thread they agree.
    """

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def start(self, *_: Any, **__: Any) -> None:
        """Start or resume."""
        self.wall -= time.perf_counter()
        self.processor -= time.process_time()

    def stop(self, *_: Any, **__: Any) -> None:
        """Pause."""
        self.wall += time.perf_counter()
        self.processor += time.process_time()


def options(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    default = REPOSITORY / "outputs" / "benchmarks" / f"{name}.json"
    parser.add_argument("--output", type=Path, default=default, help="the record")
    return parser


def missing(*paths: Path | None) -> str | None:
    """Which of these paths do not exist, as a sentence; None if all do."""
    absent = [str(path) for path in paths if path is not None and not path.exists()]
    return f"{', '.join(absent)}: not there" if absent else None


def median(values: Iterable[float]) -> float:
    """The median of at least one value."""
    return statistics.median(list(values))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
