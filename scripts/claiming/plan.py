"""What a section of claims consists of: the commands that run, and the comparisons that decide each claim."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from claiming.names import run_names
from secateur.record import Record

PROFILES = ("cpu", "full")
# Where data sets that are not in a folder of their own name lie.
FOLDERS = {
    "cola": "glue/CoLA",
    "mrpc": "glue/MRPC",
    "rte": "glue/RTE",
    "sst2": "glue/SST-2",
    "wikipedia": "wiki_en",
}
FINAL = "final"  # the stage of a run's finished model; others are called after the step that was evaluated
REFERENCE = "reference"  # of its dense model
MOVEMENT = "movement"  # of a document's states with the question


@dataclass(frozen=True, kw_only=True)
class Job:
    """One multirun.

    Attributes:
        experiment: its name under ``conf/experiment/claims``.
        claims: ids of the claims that need it; none for what is a row of a table alone.
        parent: the multirun whose models this one begins with, each in turn; None: with the model's own checkpoint.
        documents: of how many test documents the states' movement is looked at once a run is over; None: of none.
    """

    experiment: str
    dataset: str
    overrides: tuple[str, ...]
    claims: tuple[str, ...]
    parent: Job | None = None
    documents: int | None = None

    def arguments(self, *, sweep: str, output: Path, data: Path | None, more: Sequence[str]) -> list[str]:
        """What follows ``secateur``.

        Args:
            data: folder that holds one of each data set, under its name; None asks the hub.
            more: overrides that go over all others.
        """
        place = [] if data is None else [f"dataset.data_dir={data / FOLDERS.get(self.dataset, self.dataset)}"]
        chosen = [f"experiment=claims/{self.experiment}", f"dataset={self.dataset}", *self.overrides]
        start = []
        if self.parent is not None:  # after all others, which may say what the parent itself begins with
            runs = self.parent.runs(sweep=sweep, output=output, data=data, more=more)
            start = [f"model.checkpoint={','.join(str(run / 'model') for run in runs)}"]
        return ["-m", *chosen, *place, f"sweep={sweep}", f"paths.output={output}", *more, *start]

    def runs(self, *, sweep: str, output: Path, **where: Any) -> list[Path]:
        """The folders of its runs; arguments as above."""
        names = run_names(self.arguments(sweep=sweep, output=output, **where)[1:])
        return [output / "sweeps" / sweep / name for name in names]

    def commands(self, **where: Any) -> list[list[str]]:
        """The multirun, and a look at each of its runs, in this interpreter's environment; arguments as above."""
        multirun = [sys.executable, "-m", "secateur", *self.arguments(**where)]
        if self.documents is None:
            return [multirun]
        look = [str(Path(sys.executable).with_name("secateur-analyze")), f"--documents={self.documents}"]
        return [multirun, *([*look, str(run)] for run in self.runs(**where))]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs whose config has these values, by dotted key, and which of their models: ``FINAL`` or a step's.

    Attributes:
        where: keys that begin with ``parent.`` are those of the run whose model it began with.
        stage: ``REFERENCE`` where the states of its documents are asked for.
        score: one that the runs have beside their own, such as ``nsp_accuracy``, or ``movement(layer)``.
    """

    where: Mapping[str, Any]
    stage: str = FINAL
    score: str | None = None

    @property
    def points(self) -> str:
        """Under what the points of every question are kept."""
        return self.stage if self.score is None else beside(self.stage, self.score)


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
        margin: points that ``more`` may lie below ``less`` and still be as good.
    """

    setting: str
    more: Quantity
    less: Quantity
    same_mask: bool = False
    margin: float = 0.0


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


def plain(quantity: str, where: Mapping[str, Any], *, score: str | None = None) -> Quantity:
    """The score of some runs' finished models."""
    return Quantity(quantity, (Term(1.0, Runs(where=where, score=score)),))


def movement(layer: int) -> str:
    """How far the states of documents move with the question, after a layer, 0 being the embeddings."""
    return f"{MOVEMENT}_{layer}"


def beside(stage: str, score: str) -> str:
    """What the points of a further score are kept under."""
    return f"{stage}/{score}"


def listed(numbers: Sequence[float]) -> str:
    """Values of one key, as a multirun takes them."""
    return ",".join(f"{number:g}" for number in numbers)
