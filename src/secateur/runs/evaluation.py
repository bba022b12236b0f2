"""Scoring a model on a split, and storing scores and predictions as files."""

from __future__ import annotations

import json
from pathlib import Path

from pytorch_lightning import Trainer
from transformers import PreTrainedModel

from secateur.data.task_data import TaskData
from secateur.disk import write_whole
from secateur.tasks.base import Task
from secateur.training.module import TaskModule

SCORES = "scores.json"
PREDICTIONS = "predictions.json"


def evaluate(
    model: PreTrainedModel, task: Task, data: TaskData, *, split: str, trainer: Trainer, folder: Path
) -> dict[str, float]:
    """Score ``model`` and write ``scores.json`` and ``predictions.json`` (the official format) to ``folder``."""
    module = TaskModule(model.eval(), task)
    trainer.test(module, data.eval_loader(split), verbose=False)
    scores = module.evaluator.scores()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PREDICTIONS).write_text(json.dumps(module.evaluator.predictions()), encoding="utf-8")
    write_whole(folder / SCORES, json.dumps(scores, indent=2))  # last: its presence marks the folder as complete
    return scores


def read_scores(folder: Path) -> dict[str, float]:
    """The scores that :func:`evaluate` wrote."""
    return json.loads((folder / SCORES).read_text(encoding="utf-8"))
