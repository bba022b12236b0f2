"""The evidence for claims: records, each with a file of the points of every question.

Shapes: S seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from claiming.plan import Quantity, Runs
from claiming.points import Questions, movement_points, score_questions
from secateur.errors import SecateurError
from secateur.record import Record, find_records, read_record, write_record

FILE_NAME = "questions.json"
PARENT = "parent"  # prefix of keys of a parent's config


class Evidence(BaseModel):
    """One finished run, and the run whose model it started from, if that was stored too."""

    record: Record
    questions: Questions
    parent: Record | None = None


def keep(sweep: Path, folder: Path) -> None:
    """Copy the finished records of a sweep to ``folder``, each with the points of its questions.

    If a run started from another's model, the stored path of that model is relative to the sweep.
    """
    for path in find_records(sweep):
        record = read_record(path)
        if record.status == "finished":
            scored = score_questions(record, path.parent)
            scored.points.update(movement_points(record, path.parent))
            begun_with = Path(record.config["model"]["checkpoint"] or "")
            if begun_with.is_relative_to(sweep):
                record.config["model"]["checkpoint"] = str(begun_with.relative_to(sweep))
            (folder / record.name).mkdir(parents=True, exist_ok=True)
            write_record(record, folder / record.name)
            (folder / record.name / FILE_NAME).write_text(scored.model_dump_json() + "\n", encoding="utf-8")


def read(folder: Path) -> list[Evidence]:
    """The evidence stored in ``folder``."""
    records = {path: read_record(path) for path in find_records(folder)}
    by_name = {record.name: record for record in records.values()}
    return [
        Evidence(
            record=record,
            questions=Questions.model_validate_json(path.with_name(FILE_NAME).read_bytes()),
            parent=by_name.get(Path(record.config["model"]["checkpoint"] or "").parent.name),
        )
        for path, record in records.items()
    ]


def select(evidence: Sequence[Evidence], where: Mapping[str, Any]) -> list[Evidence]:
    """The runs whose own or parent's config has these values, by dotted key."""
    return [each for each in evidence if all(_value(_configs(each), key) == value for key, value in where.items())]


def by_seed(evidence: Sequence[Evidence], runs: Runs) -> dict[int, Evidence]:
    """Those of ``runs`` that have the requested points, by seed; they must not differ in anything else.

    Raises:
        SecateurError: if two have the same seed.
    """
    found: dict[int, Evidence] = {}
    for each in select(evidence, runs.where):
        if runs.points not in each.questions.points:
            continue
        other = found.setdefault(each.record.seed, each)
        if other is not each:
            raise SecateurError(
                f"{other.record.name} and {each.record.name}: both match {dict(runs.where)}; remove one of them"
            )
    return found


def common_seeds(evidence: Sequence[Evidence], quantities: Sequence[Quantity]) -> list[int]:
    """The seeds for which all runs of these quantities exist."""
    found = [set(by_seed(evidence, term.runs)) for quantity in quantities for term in quantity.terms]
    return sorted(set.intersection(*found))


def members(evidence: Sequence[Evidence], quantities: Sequence[Quantity], *, seed: int) -> list[Evidence]:
    """The run of each term at a seed that all have."""
    return [by_seed(evidence, term.runs)[seed] for quantity in quantities for term in quantity.terms]


def check_pairs(evidence: Sequence[Evidence]) -> None:
    """Refuse to pair runs that answered different questions, or that have the same seed but different dense models.

    Raises:
        SecateurError: naming two of them.
    """
    firsts: dict[int, Evidence] = {}
    for each in evidence:
        if each.questions.questions != evidence[0].questions.questions:
            pair = f"{evidence[0].record.name} and {each.record.name}"
            raise SecateurError(f"{pair}: answered different questions; run both on the same test data")
        first = firsts.setdefault(each.record.seed, each)
        if _dense(each.record) != _dense(first.record):
            pair = f"{first.record.name} and {each.record.name}"
            raise SecateurError(f"{pair}: were compressed from different dense models; run both with the same settings")


def processors(evidence: Sequence[Evidence]) -> set[str]:
    """What the runs were computed on: a dense model that is trained again on another processor differs a little."""
    return {each.record.machine.get("processor", "") for each in evidence}


def values(evidence: Sequence[Evidence], quantity: Quantity, *, seeds: Sequence[int]) -> NDArray[np.float64]:
    """A quantity in points for every question, (S, Q)."""
    return sum(
        term.weight
        * np.array([by_seed(evidence, term.runs)[seed].questions.points[term.runs.points] for seed in seeds])
        for term in quantity.terms
    )


def _configs(each: Evidence) -> dict[str, Any]:
    return {**each.record.config, PARENT: each.parent.config if each.parent else None}


def _value(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _dense(record: Record) -> str:
    """The reference's folder in the store, whose name is a hash of everything that determines it."""
    return "/".join(Path(record.reference.folder).parts[-2:]) if record.reference else ""
