"""Points of every question, from the files of a run.

A question's points are its F1 in percent; a classification has 100 if it is right, and 0 otherwise. A piece of text has
separate points for each score. A document's points are the movement of its states, in hundredths of a cosine distance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from claiming.plan import FINAL, MOVEMENT, REFERENCE, Quantity, beside, movement
from secateur.analysis.documents import NAME as DOCUMENT_STATES
from secateur.configuration.instantiation import build
from secateur.configuration.schema import DatasetConfig
from secateur.errors import SecateurError
from secateur.record import Record
from secateur.tasks.squad_scores import question_scores_v1, question_scores_v2

PREDICTIONS = "predictions.json"
NATS = 100  # points per nat
TOLERANCE = 0.01  # points by which the mean over questions may differ from the record's score


class Questions(BaseModel):
    """Points of every question, in the order of their ids, at each stage that was scored.

    Attributes:
        questions: a hash of the ids, so that only runs on the same questions are paired.
    """

    model_config = ConfigDict(extra="forbid")

    questions: str
    points: dict[str, list[float]]


def score_questions(record: Record, run: Path) -> Questions:
    """The points of every question, from a run's predictions.

    Raises:
        SecateurError: if they do not average to the scores in the record; then the run saw other questions.
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
    """The points of every piece of text, for each score, from a run's predictions.

    Raises:
        SecateurError: if they do not average to the scores in the record.
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
        version_2: whether to score as in SQuAD 2.0 rather than 1.1; None: right or wrong.
    """
    if version_2 is None:
        return [100.0 * (predictions[key] in golds[key]) for key in sorted(golds)]
    score = question_scores_v2 if version_2 else question_scores_v1
    return [round(100 * score(predictions[key], golds[key])[1], 3) for key in sorted(golds)]


def text_points(texts: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Points of every piece of text, whose mean over pieces is the score over all hidden tokens.

    ``mlm_loss`` is in hundredths of a nat, so that it is comparable to the points of the others.
    """
    average = float(np.mean([text["hidden"] for text in texts]))
    points = {
        "mlm_accuracy": [100 * text["right"] / average for text in texts],
        "mlm_loss": [NATS * text["loss"] / average for text in texts],
        "nsp_accuracy": [100.0 * text["next_sentence_right"] for text in texts if "next_sentence_right" in text],
    }
    return {score: [round(each, 3) for each in of_texts] for score, of_texts in points.items() if of_texts}


def movement_points(record: Record, run: Path) -> dict[str, list[float]]:
    """The points of the documents analysed by ``secateur-analyze``, if any, after each layer of both models."""
    path = run / "figures" / f"{DOCUMENT_STATES}.json"
    if not path.is_file():
        return {}
    distances = json.loads(path.read_text(encoding="utf-8"))["distances"]
    return {
        beside(FINAL if model == record.method else REFERENCE, movement(layer)): [
            round(100 * each, 3) for each in moved
        ]
        for model, of_documents in distances.items()
        for layer, moved in enumerate(zip(*of_documents, strict=True))
    }


def counted(record: Record, quantity: Quantity) -> str:
    """The things that a quantity has points for, in the plural."""
    if any((term.runs.score or "").startswith(MOVEMENT) for term in quantity.terms):
        return "documents"
    task = record.config["dataset"]["task"]
    return "texts" if "mask_probability" in task else "questions" if "version_2_with_negative" in task else "examples"


def _check_sum(points: Sequence[float], score: float, told: str) -> None:
    if abs(float(np.mean(points)) - score) > TOLERANCE:
        raise SecateurError(
            f"{told} {np.mean(points):.2f}, the record says {score:.2f}; start from the folder where it ran, with the "
            "same data"
        )


def _key(questions: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(questions).encode()).hexdigest()[:16]


@cache
def _golds(dataset: str) -> dict[str, list[str]]:
    """Question id to gold answers, or label, of the test split that this ``dataset`` config, as JSON, describes."""
    from secateur.runs.prepared_data import read_rows

    config = DatasetConfig(**json.loads(dataset))
    rows = read_rows(config, build(config.task, key="dataset.task"))["test"]
    if "label" in rows.features:
        labels = map(rows.features["label"].int2str, rows["label"])
        return {key: [label] for key, label in zip(rows["id"], labels, strict=True)}
    return dict(zip(rows["id"], (answers["text"] for answers in rows["answers"]), strict=True))
