"""Records of both stages: a model that was compressed on text, and its fine-tuning."""

from __future__ import annotations

from typing import Any

from secateur.record import ModelFigures, Record, Structure
from secateur.store import key_of

DENSE = {"rte": 70.0, "cola": 50.0}


def make(**changes: Any) -> Record:
    known: dict[str, Any] = {
        "status": "finished",
        "model": "minilm",
        "distillation": "none",
        "sparsity": None,
        "seed": 1,
        "predecessor_seed": 1,
        "config": {"seed": 1, "model": {"checkpoint": "/weights"}},
        "fingerprint": "abc",
    }
    return Record(**(known | changes))


def stage_1(
    method: str = "rpp", *, sparsity: float | None = 0.8, seed: int = 1, mlm: float = 40.0, **method_settings: Any
):
    asked = "" if sparsity is None else f"-s{sparsity}"
    key = key_of([method, method_settings])[:8]
    return make(
        name=f"{method}-minilm-custom_text{asked}-seed{seed}-{key}",
        method=method,
        dataset="custom_text",
        sparsity=sparsity,
        seed=seed,
        metric="mlm_accuracy",
        config={"seed": seed, "model": {"checkpoint": "/weights"}, "method": method_settings},
        reference=ModelFigures(folder="store/text/model", scores={"mlm_accuracy": 60.0, "nsp_accuracy": 95.0}),
        compressed=ModelFigures(folder="model", scores={"mlm_accuracy": mlm, "nsp_accuracy": mlm + 40}),
    )


def stage_2(
    first: Record, dataset: str, score: float, *, seed: int = 1, zeroed: float = 0.8, **settings: Any
) -> Record:
    """One fine-tuned model; ``seed`` is its predecessor's."""
    model = {"checkpoint": f"/runs/{first.name}/model", **settings}
    return make(
        name=f"finetune-minilm-{dataset}-seed1-{first.name}{seed}{settings}",
        method="finetune",
        dataset=dataset,
        predecessor_seed=seed,
        metric="accuracy",
        parents=[first.name],
        config={"seed": 1, "model": model, "predecessor": {"seed": seed}},
        reference=ModelFigures(folder=f"store/{dataset}{seed}{settings}/model", scores={"accuracy": DENSE[dataset]}),
        compressed=ModelFigures(folder="model", scores={"accuracy": score}, structure=Structure(zeroed=zeroed)),
    )
