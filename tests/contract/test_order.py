"""Methods are compared on equal terms: all phases of a run's seed read the training data in the same order."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.small_runs import run

METHODS = {
    "control": ("method.steps.recover.epochs=2",),
    "truncate": ("sparsity=0.33", "method.steps.recover.epochs=2"),
    "theseus": ("sparsity=0.33", "method.steps.replace.epochs=2"),
    "layerdrop": ("sparsity=0.33", "method.steps.drop.epochs=2"),
    "random": ("sparsity=0.5", "method.steps.recover.epochs=2"),
}


def test_phases_of_all_methods_read_the_data_in_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from secateur.training.module import TrainingModule

    seen: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    plain = TrainingModule.training_step
    running = ""

    def watched(self: TrainingModule, batch: dict[str, Any]) -> Any:
        seen[running, self.name].append(batch["items"].tolist())
        return plain(self, batch)

    monkeypatch.setattr(TrainingModule, "training_step", watched)
    for running, overrides in METHODS.items():
        run(f"method={running}", *overrides, output=tmp_path)
    first = seen["control", "recover"]
    assert len(first) == 10
    assert first[:5] != first[5:]
    assert seen["truncate", "recover"] == seen["random", "recover"] == seen["theseus", "replace"] == first
    assert seen["layerdrop", "drop"] == first
    assert seen["theseus", "recover"] == seen["layerdrop", "recover"] == first[:5]
    running = "another seed"
    run("method=control", "seed=2", *METHODS["control"], output=tmp_path)
    assert seen[running, "recover"] != first
