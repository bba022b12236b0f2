"""The parts of a section of claims: the commands to run, and the comparisons that decide each claim."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from claiming.names import run_names
from secateur.record import Record

PROFILES = ("cpu", "full")
# Folders of data sets whose folder has another name.
FOLDERS = {
    "cola": "glue/CoLA",
    "mrpc": "glue/MRPC",
    "rte": "glue/RTE",
    "sst2": "glue/SST-2",
    "wikipedia": "wiki_en",
}
FINAL = "final"  # the stage of a run's finished model; others are named after the evaluated step
REFERENCE = "reference"  # the stage of its dense model
MOVEMENT = "movement"  # how far a document's states move with the question


@dataclass(frozen=True, kw_only=True)
class Job:
    """One multirun.

    Attributes:
        experiment: its name under ``conf/experiment/claims``.
        claims: ids of the claims that need it; none if it is only a row of a table.
        parent: the multirun whose models this one starts from, each in turn; None: from the model's own checkpoint.
        documents: number of test documents whose state movement is analysed once a run is finished; None: no analysis.
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
            data: folder with one folder per data set; None: the hub.
            more: overrides that take precedence over all others.
        """
        place = [] if data is None else [f"dataset.data_dir={data / FOLDERS.get(self.dataset, self.dataset)}"]
        chosen = [f"experiment=claims/{self.experiment}", f"dataset={self.dataset}", *self.overrides]
        start = []
        if self.parent is not None:  # after all others, which may set what the parent itself starts from
            runs = self.parent.runs(sweep=sweep, output=output, data=data, more=more)
            start = [f"model.checkpoint={','.join(str(run / 'model') for run in runs)}"]
        return ["-m", *chosen, *place, f"sweep={sweep}", f"paths.output={output}", *more, *start]

    def runs(self, *, sweep: str, output: Path, **where: Any) -> list[Path]:
        """The folders of its runs; arguments as above."""
        names = run_names(self.arguments(sweep=sweep, output=output, **where)[1:])
        return [output / "sweeps" / sweep / name for name in names]

    def commands(self, **where: Any) -> list[list[str]]:
        """The multirun, and an analysis of each of its runs, in this interpreter's environment; arguments as above."""
        multirun = [sys.executable, "-m", "secateur", *self.arguments(**where)]
        if self.documents is None:
            return [multirun]
        look = [str(Path(sys.executable).with_name("secateur-analyze")), f"--documents={self.documents}"]
        return [multirun, *([*look, str(run)] for run in self.runs(**where))]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs whose config has these values, by dotted key, and which of their models: ``FINAL`` or a step's.

    Attributes:
        where: keys that begin with ``parent.`` are those of the run whose model it started from.
        stage: ``REFERENCE`` for the document states of the dense model.
        score: another than the runs' own, such as ``nsp_accuracy``, or ``movement(layer)``.
    """

    where: Mapping[str, Any]
    stage: str = FINAL
    score: str | None = None

    @property
    def points(self) -> str:
        """The key under which the points of every question are stored."""
        return self.stage if self.score is None else beside(self.stage, self.score)


class Term(NamedTuple):
    """The scores of runs, with their weight in a sum."""

    weight: float
    runs: Runs


@dataclass(frozen=True)
class Quantity:
    """A score, or a weighted sum of several, such as the gain from recovery, taken question by question."""

    name: str
    terms: tuple[Term, ...]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The claim that one quantity is above another, decided by the paired interval over seeds and questions.

    Attributes:
        same_mask: count only seeds for which all runs have the same number of heads and units left in every layer.
        margin: points that ``more`` may be below ``less`` and still count as equal.
    """

    setting: str
    more: Quantity
    less: Quantity
    same_mask: bool = False
    margin: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The claim that a figure, which each run has once, is above 0, decided by whether all runs agree.

    Attributes:
        figure: returns None if a run does not have it.
        unit: of the figure, for display.
    """

    setting: str
    name: str
    where: Mapping[str, Any]
    figure: Callable[[Record], float | None]
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A paper's claim, the published figure with its source, and the tests of the claim."""

    id: str
    text: str
    published: str
    source: str
    tests: tuple[Contrast | Agreement, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Claims that are run and reported together.

    Attributes:
        untested: what the available data cannot decide, or what is shown elsewhere.
        details: further tables of the page, generated from the records.
    """

    name: str
    title: str
    jobs: tuple[Job, ...]
    claims: tuple[Claim, ...]
    untested: tuple[str, ...]
    details: tuple[Callable[[Sequence[Record]], str], ...] = field(default=())


def plain(quantity: str, where: Mapping[str, Any], *, score: str | None = None) -> Quantity:
    """The score of the finished models of some runs."""
    return Quantity(quantity, (Term(1.0, Runs(where=where, score=score)),))


def movement(layer: int) -> str:
    """The score for how far document states move with the question after a layer; 0 is the embeddings."""
    return f"{MOVEMENT}_{layer}"


def beside(stage: str, score: str) -> str:
    """The key under which the points of a further score are stored."""
    return f"{stage}/{score}"


def listed(numbers: Sequence[float]) -> str:
    """Values of one key, in the syntax of a multirun."""
    return ",".join(f"{number:g}" for number in numbers)
