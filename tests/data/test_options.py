"""Every option of the group ``dataset`` composes, passes the checks and builds its task."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.commands.launch import config_path
from secateur.configuration.checks import checked
from secateur.configuration.instantiation import build
from secateur.tasks.base import Task
from tests.small_runs import composed

OPTIONS = sorted(path.stem for path in Path(config_path(), "dataset").glob("[!_]*.yaml"))


def _built(tmp_path: Path, name: str) -> Task:
    """The task of an option; one's own data sets are given files."""
    (tmp_path / "rows.csv").touch()
    files = [f"dataset.{split}_files={tmp_path / 'rows.csv'}" for split in ("train", "test")]
    config = checked(composed(f"dataset={name}", *(files if name.startswith("custom") else ()), output=tmp_path))
    assert config.dataset.name == name
    return build(config.dataset.task, key="dataset.task")


@pytest.mark.parametrize("name", OPTIONS)
def test_composes_and_builds_its_task(tmp_path, name):
    assert isinstance(_built(tmp_path, name), Task)


@pytest.mark.parametrize(
    ("name", "metrics", "metric"),
    [
        ("cola", ["mcc"], "mcc"),
        ("mnli", ["accuracy"], "accuracy"),
        ("mrpc", ["f1", "accuracy"], "average"),
        ("qqp", ["f1", "accuracy"], "average"),
        ("stsb", ["pearson", "spearman"], "average"),
        ("boolq", ["accuracy"], "accuracy"),
    ],
)
def test_metrics_are_those_that_the_papers_report(tmp_path, name, metrics, metric):
    task = _built(tmp_path, name)
    assert sorted(task.metrics) == sorted(metrics)
    assert task.metric == metric
