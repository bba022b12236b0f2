"""Two stages: a task's runs are found by the run on text that they began with, and a text has points of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secateur.configuration import naming
from secateur.errors import SecateurError
from secateur.record import ModelFigures, StepRecord
from tests.scripts.claiming.runs import contrast, run, scores
from tests.scripts.claiming.test_commands import compose_one
from tests.test_record import make

TEXTS = [
    {"document": 0, "hidden": 4, "right": 1, "loss": 8.0, "next_sentence_right": True},
    {"document": 0, "hidden": 6, "right": 3, "loss": 9.0, "next_sentence_right": False},
]


def test_the_names_of_runs_are_known_before_they_run() -> None:
    """Stage 2 names the models of stage 1 on its command line, in the order in which they are made."""
    from claiming.names import run_names

    shared = ("dataset=toy_qa", "method=magnitude")
    expected = [naming.run_name(_root_=compose_one(*shared, f"sparsity={amount}")) for amount in (0.4, 0.8)]
    assert run_names([*shared, "sparsity=0.4,0.8"]) == expected


def test_a_job_begins_with_each_of_its_parents_models(tmp_path: Path) -> None:
    """Whatever the parent itself begins with stands before, for both."""
    from claiming.plan import Job

    shared: dict[str, Any] = {"dataset": "toy_qa", "claims": ("X",)}
    first = Job(experiment="weights_text", overrides=("method=nip", "sparsity=0.4,0.8"), **shared)
    second = Job(experiment="weights_tasks", overrides=(), parent=first, **shared)
    where: dict[str, Any] = {"sweep": "s", "output": tmp_path, "data": None, "more": ["model.checkpoint=dense"]}
    *_, more, start = second.arguments(**where)
    assert more == "model.checkpoint=dense"
    models = [Path(model) for model in start.removeprefix("model.checkpoint=").split(",")]
    assert [model.parent.parent for model in models] == [tmp_path / "sweeps" / "s"] * 2
    assert [model.parent.name.split("-")[3] for model in models] == ["s0.4", "s0.8"]


def test_runs_are_found_by_their_parents_settings(tmp_path: Path) -> None:
    from claiming.evidence import read, select

    run(tmp_path, method="nip", name="parent")
    child = run(tmp_path, method="finetune", name="child")
    child.config["model"]["checkpoint"] = "somewhere/parent/model"
    (tmp_path / "child" / "record.json").write_text(child.model_dump_json(by_alias=True))
    found = select(read(tmp_path), {"method.name": "finetune", "parent.method.name": "nip"})
    assert [each.record.name for each in found] == ["child"]
    assert not select(read(tmp_path), {"method.name": "finetune", "parent.method.name": "rpp"})


def test_what_a_run_began_with_is_kept_by_its_place_in_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept records are published: no path of the machine, and the parent is found all the same."""
    from claiming import evidence
    from claiming.points import Questions

    sweep = tmp_path / "sweep"
    run(sweep, method="nip", name="parent")
    child = run(sweep, method="finetune", name="child")
    child.config["model"]["checkpoint"] = str(sweep / "parent" / "model")
    (sweep / "child" / "record.json").write_text(child.model_dump_json(by_alias=True))
    monkeypatch.setattr(evidence, "score_questions", lambda *_: Questions(questions="q", points={"final": [1.0]}))
    evidence.keep(sweep, tmp_path / "kept")
    kept = {each.record.name: each for each in evidence.read(tmp_path / "kept")}
    assert kept["child"].record.config["model"]["checkpoint"] == "parent/model"
    assert kept["child"].parent is not None
    assert kept["child"].parent.name == "parent"


def test_the_points_of_texts_add_up_to_the_scores() -> None:
    """Scores count hidden tokens, not texts: a text with more of them has more points."""
    from claiming.points import text_points

    points = text_points(TEXTS)
    means = {score: sum(of_texts) / len(TEXTS) for score, of_texts in points.items()}
    assert means == pytest.approx({"mlm_accuracy": 40.0, "mlm_loss": 170.0, "nsp_accuracy": 50.0})


def test_a_text_is_kept_with_all_its_scores_and_must_add_up_to_the_record(tmp_path: Path) -> None:
    from claiming.points import score_questions

    (tmp_path / "predictions.json").write_text(json.dumps(TEXTS))
    told = {"mlm_accuracy": 40.0, "mlm_loss": 1.7, "nsp_accuracy": 50.0}
    config = naming.resolved(compose_one("dataset=custom_text"))
    record = make(config=config, metric="mlm_accuracy", compressed=ModelFigures(folder="model", scores=told))
    assert set(score_questions(record, tmp_path).points) == {"final", "final/mlm_loss", "final/nsp_accuracy"}
    record.compressed = ModelFigures(folder="model", scores=told | {"mlm_loss": 1.8})
    with pytest.raises(SecateurError, match=r"comes to mlm_loss 170\.00, the record says 180\.00"):
        score_questions(record, tmp_path)


def test_what_lies_within_a_margin_is_as_good(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    run(tmp_path, method="l0", f1=scores(50.0))
    run(tmp_path, method="gain", f1=scores(50.5))
    assert judge(contrast(), read(tmp_path)).verdict == "contradicted"
    outcome = judge(contrast(margin=1.0), read(tmp_path))
    assert outcome.verdict == "holds"
    assert "up to 1 below counts as equal" in outcome.figures


def test_dense_models_may_differ_between_seeds(tmp_path: Path) -> None:
    """Stage 2 fine-tunes one for each seed; within a seed they are the same, or refused."""
    from claiming.evidence import read
    from claiming.judging import judge

    for seed in (1, 2):
        dense = ModelFigures(folder=f"../../store/predecessors/seed{seed}/model", scores={"f1": 1.0})
        for method, mean in {"l0": 60.0, "gain": 50.0}.items():
            run(tmp_path, method=method, seed=seed, f1=scores(mean), reference=dense)
    assert "2 seeds" in judge(contrast(), read(tmp_path)).figures


def test_the_tables_of_weights_say_what_was_asked_and_reached() -> None:
    from claiming.weight_tables import direct_table, proximal_table

    config = {"method": {"name": "rpp", "steps": {"prune": {"reweight": False}}}, "model": {"checkpoint": None}}
    details = {"gamma": 0.02, "zeroed_by_steps": 0.398, "zeroed": 0.4, "mean_size": 0.05}
    known = {"method": "rpp", "sparsity": 0.4, "dataset": "sst2", "metric": "accuracy"}
    models = {
        name: ModelFigures(folder="model", scores={"accuracy": score})
        for name, score in {"reference": 90.0, "compressed": 88.0}.items()
    }
    steps = [StepRecord(name="prune", seconds=1.0, details=details)]
    record = make(**known, config=config, steps=steps, **models)
    assert "| sst2 | rpp, plain ℓ1 | 90.0 | 88.0 |" in direct_table([record])
    assert "| sst2 | rpp, plain ℓ1 | 0.4 | 0.02 |  | 0.3980 | 0.0500 |" in proximal_table([record])
    assert direct_table([]) == proximal_table([]) == ""


def test_the_tables_of_deformer_have_layers_and_losses() -> None:
    from claiming.deformer_tables import layers_apart_table, losses_table

    method = {"order": ["segment", "decompose"], "lower_layers": 4}
    models = {
        name: ModelFigures(folder="model", scores={"f1": score})
        for name, score in {"reference": 60.0, "compressed": 55.0}.items()
    }
    steps = [StepRecord(name="segment", seconds=1.0, scores={"f1": 58.0})]
    plain, imitating = (
        make(
            distillation=name, config={"method": method, "distillation": settings}, steps=steps, latency=None, **models
        )
        for name, settings in {
            "none": {"name": "none"},
            "representation": {"name": "representation", "loss": {"alpha": 0.0}},
        }.items()
    )
    assert "| squad_v2 | 4 | 60.0 | 58.0 | 55.0 |  |  |" in layers_apart_table([plain]).replace(
        plain.dataset, "squad_v2"
    )
    assert f"| {plain.dataset} | 4 | layers | 55.0 |" in losses_table([plain, imitating])
    assert not losses_table([plain])
