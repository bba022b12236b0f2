"""Made-up runs that claims are decided from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from secateur.record import ModelFigures, Record, Structure, write_record
from tests.test_record import make

QUESTIONS = 400


def run(
    folder: Path, *, method: str = "l0", seed: int = 1, f1: Any = (50.0,), ids: str = "same", **changes: Any
) -> Record:
    """A kept run with 50 % of the heads gone, and the F1 of its questions."""
    from claiming.evidence import FILE_NAME
    from claiming.points import Questions

    steps = {"surgery": {"evaluate": False}}
    config = {
        "distillation": {"name": "none", "loss": None},
        "dataset": {"name": "squad_v1", "max_seq_length": 384, "limit_train": None, "limit_test": 2000}
        | {"task": {"version_2_with_negative": False}},
        "model": {"checkpoint": None},
        "predecessor": {"epochs": 2, "batch_size": 24, "accumulate_grad_batches": 1, "learning_rate": 1e-4, "seed": 1}
        | {"warmup_ratio": 0.1, "weight_decay": 0.01},
        "method": {"name": method, "heads": 0.5, "units": None, "steps": steps},
        "sparsity": None,
        "seed": seed,
        "trainer": {"precision": "32-true"},
    }
    structures = {
        "reference": Structure(heads=[4, 4, 4, 4], units=[8, 8, 8, 8]),
        "compressed": Structure(heads_removed=0.5, heads=[1, 3, 3, 1], units=[8, 8, 8, 8]),
    }
    known = {
        name: ModelFigures(folder=f"../../store/predecessors/one/{name}", scores={"f1": 1.0}, structure=structure)
        for name, structure in structures.items()
    }
    name = changes.pop("name", f"{method}-{seed}")
    settings = {"name": name, "method": method, "seed": seed, "sparsity": None, "dataset": "squad_v1"}
    record = make(**settings, config=config, steps=[], **(known | changes))
    (folder / name).mkdir(parents=True)
    write_record(record, folder / name)
    scored = Questions(questions=ids, points={"final": list(f1)})
    (folder / name / FILE_NAME).write_text(scored.model_dump_json())
    return record


def contrast(more: str = "l0", less: str = "gain", **changes: Any) -> Any:
    from claiming.plan import Contrast, plain

    where = {"dataset.name": "squad_v1", "method.heads": 0.5}
    sides = (plain(name, {**where, "method.name": name}) for name in (more, less))
    return Contrast(setting="half of the heads", **dict(zip(("more", "less"), sides, strict=True)), **changes)


def scores(mean: float, *, spread: float = 30.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, QUESTIONS)
