"""What a section of claims consists of: the commands that run, and the comparisons that decide each claim."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from secateur.record import Record

PROFILES = ("cpu", "full")
# Where data sets that are not in a folder of their own name lie.
FOLDERS = {"cola": "glue/CoLA", "mrpc": "glue/MRPC", "rte": "glue/RTE", "sst2": "glue/SST-2"}
FINAL = "final"  # the stage of a run's finished model; others are called after the step that was evaluated


@dataclass(frozen=True, kw_only=True)
class Job:
    """One multirun.

    Attributes:
        experiment: its name under ``conf/experiment/claims``.
        claims: ids of the claims that need it.
    """

    experiment: str
    dataset: str
    overrides: tuple[str, ...]
    claims: tuple[str, ...]

    def arguments(self, *, sweep: str, output: Path, data: Path | None, more: Sequence[str]) -> list[str]:
        """What follows ``secateur``.

        Args:
            data: folder that holds one of each data set, under its name; None asks the hub.
            more: overrides that go over all others.
        """
        place = [] if data is None else [f"dataset.data_dir={data / FOLDERS.get(self.dataset, self.dataset)}"]
        chosen = [f"experiment=claims/{self.experiment}", f"dataset={self.dataset}", *self.overrides]
        return ["-m", *chosen, *place, f"sweep={sweep}", f"paths.output={output}", *more]

    def command(self, **where: Any) -> list[str]:
        """The multirun, in this interpreter."""
        return [sys.executable, "-m", "secateur", *self.arguments(**where)]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs whose config has these values, by dotted key, and which of their models: ``FINAL`` or a step's."""

    where: Mapping[str, Any]
    stage: str = FINAL


class Term(NamedTuple):
    """Scores of runs that are added up with a weight."""

    weight: float
    runs: Runs


@dataclass(frozen=True)
class Quantity:
    """A score, or a sum of several such as what recovery brings, taken question by question."""

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """That one quantity is above another: decided by the paired interval over seeds and questions.

    Attributes:
        same_mask: seeds count only where all runs have the same heads and units left in every layer.
    """

    setting: str
    more: Quantity
    less: Quantity
    same_mask: bool = False


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """That a figure which each run has once is above 0: decided by whether all runs agree.

    Attributes:
        figure: None where a run does not have it.
        unit: of the figure, for people.
    """

    setting: str
    name: str
    where: Mapping[str, Any]
    figure: Callable[[Record], float | None]
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper claims, what it publishes for it and where, and the tests of it."""

    id: str
    text: str
    published: str
    source: str
    tests: tuple[Contrast | Agreement, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Claims that are run and reported together.

    Attributes:
        untested: what the data at hand cannot decide, or what is shown elsewhere.
        details: further tables of the page, made from the records.
    """

    name: str
    title: str
    jobs: tuple[Job, ...]
    claims: tuple[Claim, ...]
    untested: tuple[str, ...]
    details: tuple[Callable[[Sequence[Record]], str], ...] = field(default=())


def plain(quantity: str, where: Mapping[str, Any]) -> Quantity:
    """The score of some runs' finished models."""
    return Quantity(quantity, (Term(1.0, Runs(where=where)),))
