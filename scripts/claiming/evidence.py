"""What claims are decided from: records, and beside each the points of every question, in a file that can be kept.

A question's points are its F1 in percent; a classification has 100 where it is right, and 0 elsewhere. Of a piece of
text, each score has points of its own.

Shapes: S seeds, Q questions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from claiming.plan import FINAL, Quantity, Runs, beside
from secateur.checks import build
from secateur.config import DatasetConfig
from secateur.errors import SecateurError
from secateur.record import Record, find_records, read_record, write_record
from secateur.tasks.squad_scores import question_scores_v1, question_scores_v2

FILE_NAME = "questions.json"
PREDICTIONS = "predictions.json"
PARENT = "parent"  # what keys of a parent's config begin with
NATS = 100  # points of one nat
TOLERANCE = 0.01  # points by which the mean over questions may miss the record's score


class Questions(BaseModel):
    """Points of every question, in the order of their ids, at each stage that was scored.

    Attributes:
        questions: a key of the ids, so that only runs on the same questions are paired.
    """

    model_config = ConfigDict(extra="forbid")

    questions: str
    points: dict[str, list[float]]


class Evidence(BaseModel):
    """One finished run, and the run whose model it began with, where that was kept too."""

    record: Record
    questions: Questions
    parent: Record | None = None


def keep(sweep: Path, folder: Path) -> None:
    """Copy the finished records of a sweep to ``folder``, each with the points of its questions."""
    for path in find_records(sweep):
        record = read_record(path)
        if record.status == "finished":
            scored = score_questions(record, path.parent)
            (folder / record.name).mkdir(parents=True, exist_ok=True)
            write_record(record, folder / record.name)
            (folder / record.name / FILE_NAME).write_text(scored.model_dump_json() + "\n", encoding="utf-8")


def read(folder: Path) -> list[Evidence]:
    """What was kept in ``folder``."""
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


def score_questions(record: Record, run: Path) -> Questions:
    """The points of every question, from the predictions that a run left.

    Raises:
        SecateurError: if they do not come to the scores in the record: then these are not the questions it saw.
    """
    assert record.compressed is not None
    if "mask_probability" in record.config["dataset"]["task"]:
        return score_texts(record, run)
    golds = _golds(json.dumps(record.config["dataset"], sort_keys=True))
    version_2 = record.config["dataset"]["task"].get("version_2_with_negative")
    metric = "accuracy" if version_2 is None else "f1"
    stages = {FINAL: (run / PREDICTIONS, record.compressed.scores)}
    for number, step in enumerate(record.steps):
        if step.scores is not None:
            stages[step.name] = (run / "steps" / f"{number:02d}-{step.name}" / PREDICTIONS, step.scores)
    points = {}
    for stage, (path, scores) in stages.items():
        predictions = json.loads(path.read_text(encoding="utf-8"))
        points[stage] = points_of(predictions, golds, version_2=version_2)
        _check_sum(points[stage], scores[metric], f"{path}: comes to {metric}")
    return Questions(questions=_key(sorted(golds)), points=points)


def score_texts(record: Record, run: Path) -> Questions:
    """The points of every piece of text, in each of the scores, from the predictions that a run left.

    Raises:
        SecateurError: if they do not come to the scores in the record.
    """
    assert record.compressed is not None
    texts = json.loads((run / PREDICTIONS).read_text(encoding="utf-8"))
    by_score = text_points(texts)
    for score, points in by_score.items():
        told = record.compressed.scores[score] * (NATS if score == "mlm_loss" else 1)
        _check_sum(points, told, f"{run / PREDICTIONS}: comes to {score}")
    named = {beside(FINAL, score): points for score, points in by_score.items() if score != record.metric}
    key = _key([f"{text['document']} {text['hidden']}" for text in texts])
    return Questions(questions=key, points={FINAL: by_score[record.metric], **named})


def points_of(
    predictions: Mapping[str, str], golds: Mapping[str, Sequence[str]], *, version_2: bool | None
) -> list[float]:
    """Points of every question, in the order of their ids.

    Args:
        version_2: scored as in SQuAD 2.0, or 1.1; None: right or wrong.
    """
    if version_2 is None:
        return [100.0 * (predictions[key] in golds[key]) for key in sorted(golds)]
    score = question_scores_v2 if version_2 else question_scores_v1
    return [round(100 * score(predictions[key], golds[key])[1], 3) for key in sorted(golds)]


def text_points(texts: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Points of every piece of text, of which the mean over pieces is the score over all that was hidden in them.

    ``mlm_loss`` is in hundredths of a nat, so that it reads like the points of the others.
    """
    average = float(np.mean([text["hidden"] for text in texts]))
    points = {
        "mlm_accuracy": [100 * text["right"] / average for text in texts],
        "mlm_loss": [NATS * text["loss"] / average for text in texts],
        "nsp_accuracy": [100.0 * text["next_sentence_right"] for text in texts if "next_sentence_right" in text],
    }
    return {score: [round(each, 3) for each in of_texts] for score, of_texts in points.items() if of_texts}


def select(evidence: Sequence[Evidence], where: Mapping[str, Any]) -> list[Evidence]:
    """The runs whose config, or whose parent's, has these values, by dotted key."""
    return [each for each in evidence if all(_value(_configs(each), key) == value for key, value in where.items())]


def by_seed(evidence: Sequence[Evidence], runs: Runs) -> dict[int, Evidence]:
    """Those of ``runs``, which have nothing but their seed to tell them apart.

    Raises:
        SecateurError: if two have the same seed.
    """
    found: dict[int, Evidence] = {}
    for each in select(evidence, runs.where):
        other = found.setdefault(each.record.seed, each)
        if other is not each:
            raise SecateurError(
                f"{other.record.name} and {each.record.name}: both answer to {dict(runs.where)}; "
                "remove the one that is no longer wanted"
            )
    return found


def common_seeds(evidence: Sequence[Evidence], quantities: Sequence[Quantity]) -> list[int]:
    """The seeds that every run of these quantities has."""
    found = [set(by_seed(evidence, term.runs)) for quantity in quantities for term in quantity.terms]
    return sorted(set.intersection(*found))


def members(evidence: Sequence[Evidence], quantities: Sequence[Quantity], *, seed: int) -> list[Evidence]:
    """One run of each term, at a seed that all have."""
    return [by_seed(evidence, term.runs)[seed] for quantity in quantities for term in quantity.terms]


def check_pairs(evidence: Sequence[Evidence]) -> None:
    """Refuse to pair runs that answered different questions, or at one seed did not begin with the same dense model.

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


def values(evidence: Sequence[Evidence], quantity: Quantity, *, seeds: Sequence[int]) -> NDArray[np.float64]:
    """A quantity of every question in points, (S, Q)."""
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


def _check_sum(points: Sequence[float], score: float, told: str) -> None:
    if abs(float(np.mean(points)) - score) > TOLERANCE:
        raise SecateurError(
            f"{told} {np.mean(points):.2f}, the record says {score:.2f}; start from the folder where it ran, with the "
            "same data"
        )


def _key(questions: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(questions).encode()).hexdigest()[:16]


def _dense(record: Record) -> str:
    """The folder's name in the store, which is a key of all that made it."""
    return "/".join(Path(record.reference.folder).parts[-2:]) if record.reference else ""


@cache
def _golds(dataset: str) -> dict[str, list[str]]:
    """Question id to gold answers, or label, of the test split that this ``dataset`` config, as JSON, describes."""
    from secateur.data.prepared import read_rows

    config = DatasetConfig(**json.loads(dataset))
    rows = read_rows(config, build(config.task, key="dataset.task"))["test"]
    if "label" in rows.features:
        labels = map(rows.features["label"].int2str, rows["label"])
        return {key: [label] for key, label in zip(rows["id"], labels, strict=True)}
    return dict(zip(rows["id"], (answers["text"] for answers in rows["answers"]), strict=True))
