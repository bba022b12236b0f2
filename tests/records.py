"""Made-up records and run folders, for code that only reads records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from secateur.record import Cost, Latency, LatencyPair, ModelFigures, Percentiles, Record, Structure, write_record


def make_record(*, seed: int = 1, method: str = "l0", f1: float = 72.0, **changes: Any) -> Record:
    """A finished run of half the encoder at twice the speed, unless said otherwise."""
    pairs = [
        LatencyPair(
            batch_size=8,
            length=length,
            dtype="float32",
            reference=Percentiles(p50=100, p90=110),
            compressed=Percentiles(p50=50, p90=60),
            repeats=20,
        )
        for length in (128, 384)
    ]
    known = {
        "status": "finished",
        "name": f"{method}-seed{seed}",
        "method": method,
        "model": "tiny",
        "dataset": "squad",
        "distillation": "none",
        "sparsity": 0.5,
        "seed": seed,
        "predecessor_seed": 1,
        "metric": "f1",
        "config": {"seed": seed},
        "fingerprint": "abc",
        "reference": ModelFigures(folder="dense", scores={"f1": 80.0, "exact": 70.0}),
        "compressed": ModelFigures(
            folder="model",
            scores={"f1": f1, "exact": 60.0},
            cost=Cost(parameters=1000, encoder_parameters=500, disk_bytes=4000),
            structure=Structure(removed=0.5),
        ),
        "latency": Latency(device="cpu", threads=1, beside_others=False, pairs=pairs),
    }
    return Record(**(known | changes))


def theseus(**changes: Any) -> Record:
    """A run in the setting of a published figure, unless said otherwise."""
    config = {
        "seed": 1,
        "method": {"name": "theseus", "layers": changes.pop("layers", 6), "schedule": "linear"},
        "dataset": {"limit_train": None, "limit_test": changes.pop("limit_test", None)},
    }
    record = make_record(
        method="theseus",
        **{"model": "bert_base", "dataset": "mrpc", "metric": "average", "sparsity": None} | changes,
        config=config,
    )
    for model in (record.reference, record.compressed):
        assert model is not None
        model.scores["average"] = model.scores["f1"]
    return record


def put(folder: Path, *records: Record) -> Path:
    """Write each record to a run folder of its own."""
    for record in records:
        run = folder / record.name
        run.mkdir(parents=True)
        write_record(record, run)
    return folder
