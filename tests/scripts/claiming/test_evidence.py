"""Claims are decided from runs that can be paired, question by question, and the page says how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secateur.configuration import naming
from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.record import ModelFigures, StepRecord, Structure
from tests.scripts.claiming.runs import QUESTIONS, contrast, run, scores
from tests.scripts.claiming.test_commands import compose_one
from tests.test_record import make, pair

# --- Pairing ---


def test_refuses_to_pair_runs_on_different_questions(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    run(tmp_path, method="l0", f1=[1.0, 2.0])
    run(tmp_path, method="gain", f1=[1.0, 2.0], ids="others")
    with pytest.raises(SecateurError, match=r"^l0-1 and gain-1: answered different questions; "):
        judge(contrast(), read(tmp_path))


def test_refuses_to_pair_runs_of_different_dense_models(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    run(tmp_path, method="l0", f1=[1.0, 2.0])
    other = ModelFigures(folder="../../store/predecessors/two/model", scores={"f1": 1.0})
    run(tmp_path, method="gain", f1=[1.0, 2.0], reference=other)
    with pytest.raises(SecateurError, match=r"^l0-1 and gain-1: were compressed from different dense models"):
        judge(contrast(), read(tmp_path))


def test_refuses_two_runs_for_one_place(tmp_path: Path) -> None:
    """Such as one left from an earlier version of the settings: which one counts is not for a page to guess."""
    from claiming.evidence import read
    from claiming.judging import judge

    run(tmp_path, method="l0")
    run(tmp_path, method="l0", name="l0-again")
    with pytest.raises(SecateurError, match=r"^l0-1 and l0-again: both match "):
        judge(contrast(), read(tmp_path))


def test_seeds_count_only_where_both_sides_have_them(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    for method, seeds in {"l0": (1, 2), "gain": (1, 3)}.items():
        for seed in seeds:
            run(tmp_path, method=method, seed=seed, f1=scores(50.0))
    assert "one seed, over questions only" in judge(contrast(), read(tmp_path)).figures
    assert judge(contrast(less="random"), read(tmp_path)).verdict == "not run"


def test_seeds_whose_sides_ran_on_different_processors_are_counted(tmp_path: Path) -> None:
    """Their dense models were trained with one recipe, but are not the same to the bit."""
    from claiming.evidence import read
    from claiming.judging import judge

    for method in ("l0", "gain"):
        for seed in (1, 2):
            processor = "another" if (method, seed) == ("gain", 2) else "one"
            run(tmp_path, method=method, seed=seed, f1=scores(50.0), machine={"processor": processor})
    assert judge(contrast(), read(tmp_path)).figures.endswith("; 1 of the seeds on different processors")
    run(tmp_path, method="random", f1=scores(50.0), machine={"processor": "one"})
    assert "processors" not in judge(contrast(less="random"), read(tmp_path)).figures


def test_seeds_with_another_mask_are_left_out_where_the_mask_must_be_the_same(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    run(tmp_path, method="l0", f1=scores(60.0))
    other = ModelFigures(folder="model", structure=Structure(heads=[3, 1, 1, 3], units=[8, 8, 8, 8]))
    run(tmp_path, method="gain", f1=scores(50.0), compressed=other)
    assert judge(contrast(), read(tmp_path)).verdict == "holds"
    assert judge(contrast(same_mask=True), read(tmp_path)).verdict == "undecided"


def test_a_sum_of_scores_is_taken_question_by_question(tmp_path: Path) -> None:
    """What recovery brings is a difference within a run; its spread is far below that of the scores."""
    from claiming.evidence import read, values
    from claiming.plan import Quantity, Runs, Term

    run(tmp_path, f1=scores(50.0))
    runs = Runs(where={"method.name": "l0"})
    difference_SQ = values(read(tmp_path), Quantity("x", (Term(1.0, runs), Term(-1.0, runs))), seeds=[1])
    assert difference_SQ.shape == (1, QUESTIONS)
    assert not difference_SQ.any()


# --- From predictions to what is kept ---


def test_documents_have_the_distances_of_every_layer_and_runs_without_them_do_not_count(tmp_path: Path) -> None:
    """``secateur-analyze`` writes them; a claim on them compares layers of one run, document by document."""
    from claiming.evidence import FILE_NAME, read
    from claiming.judging import judge
    from claiming.plan import FINAL, REFERENCE, Contrast, Quantity, Runs, Term, movement
    from claiming.points import Questions, movement_points

    kept = run(tmp_path, method="deformer", f1=scores(50.0))
    run(tmp_path, method="deformer", seed=2, f1=scores(50.0))
    assert movement_points(kept, tmp_path / "deformer-1") == {}
    moved = {"deformer": [[0.0, 0.01]] * 5 + [[0.0, 0.03]], "reference": [[0.1, 0.2]] * 6}
    (tmp_path / "deformer-1" / "figures").mkdir()
    path = tmp_path / "deformer-1" / "figures" / "document_states.json"
    path.write_text(json.dumps({"distances": moved}))
    points = movement_points(kept, tmp_path / "deformer-1")
    assert points["final/movement_1"] == [1.0] * 5 + [3.0]
    assert points["reference/movement_0"] == [10.0] * 6
    scored = Questions(questions="same", points={"final": [50.0], **points})
    (tmp_path / "deformer-1" / FILE_NAME).write_text(scored.model_dump_json())

    def after(layer: int, stage: str) -> Any:
        runs = Runs(where={"method.name": "deformer"}, stage=stage, score=movement(layer))
        return Quantity(f"after {layer}", (Term(1.0, runs),))

    for stage, told in ((FINAL, "after 1 1.3, after 0 0.0: **+1.3**"), (REFERENCE, "after 1 20.0, after 0 10.0")):
        test = Contrast(setting="s", more=after(1, stage), less=after(0, stage))
        outcome = judge(test, read(tmp_path))
        assert outcome.figures.startswith(told)
        assert outcome.figures.endswith("one seed, over documents only; 6 documents")
        assert outcome.verdict == "holds"
    assert judge(Contrast(setting="s", more=after(2, FINAL), less=after(0, FINAL)), []).verdict == "not run"


def test_each_question_is_scored_at_every_stage_and_must_add_up_to_the_record(tmp_path: Path) -> None:
    """Else the questions would be others than the run's, and every interval wrong without anyone seeing it."""
    from claiming.points import score_questions

    config = compose_one("dataset=toy_qa", "dataset.generator.test=6", "dataset.generator.train=40")
    rows = toy_rows(config)
    answers = {id_: (texts["text"] or [""])[0] for id_, texts in zip(rows["id"], rows["answers"], strict=True)}
    wrong = dict.fromkeys(answers, "no such words")
    (tmp_path / "steps" / "01-surgery").mkdir(parents=True)
    (tmp_path / "predictions.json").write_text(json.dumps(answers))
    (tmp_path / "steps" / "01-surgery" / "predictions.json").write_text(json.dumps(wrong))
    steps = [
        StepRecord(name="score", seconds=1.0),
        StepRecord(name="surgery", seconds=1.0, scores={"f1": 0.0}),
    ]
    right = ModelFigures(folder="model", scores={"f1": 100.0})
    record = make(config=naming.resolved(config), compressed=right, steps=steps)
    kept = score_questions(record, tmp_path)
    assert kept.points == {"final": [100.0] * 6, "surgery": [0.0] * 6}
    record.compressed = ModelFigures(folder="model", scores={"f1": 90.0})
    with pytest.raises(SecateurError, match=r"comes to f1 100\.00, the record says 90\.00"):
        score_questions(record, tmp_path)


def toy_rows(config: Any) -> Any:
    from secateur.configuration.instantiation import build
    from secateur.runs.prepared_data import read_rows

    dataset = checked(config).dataset
    return read_rows(dataset, build(dataset.task, key="dataset.task"))["test"]


# --- The page ---


def test_the_page_says_claim_published_setting_ours_and_verdict(tmp_path: Path) -> None:
    from claiming.sections import page_of

    folder = tmp_path / "claims_gates"
    latency = {
        "latency": make().latency.model_copy(
            update={"pairs": [pair(reference=30, compressed=29), pair().model_copy(update={"batch_size": 32})]}
        )
    }
    for seed in (1, 2, 3):
        run(folder, method="l0", seed=seed, f1=scores(60.0), **latency)
        run(folder, method="gain", seed=seed, f1=scores(50.0))
    text = page_of(folder)
    lines = {
        line.split(" | ")[2]: line for line in text.splitlines() if line.startswith("| ") and line.count(" | ") > 3
    }
    a1 = next(line for line in text.splitlines() if line.startswith("| **A1**"))
    assert "figure 1, SQuAD 2.0, BERT-base" in a1
    half = next(line for line in text.splitlines() if "50 % of the heads removed, no recovery | l0" in line)
    assert "l0 58.9 ± 0.0, gain 48.9 ± 0.0: **+10.0** [+10.0, +10.0]; 3 seeds; 400 questions | *holds* |" in half
    assert "not run" in lines["squad_v2, 50 % of the heads removed, no recovery"]
    assert "**+0.50**, from +0.50 to +0.50; 3 runs | *holds*" in lines["squad_v1, l0, 50 % of the heads removed"]
    assert "*contradicted*" in lines["squad_v1, 50 % of the heads removed, float32, batch 32"]
    assert "| squad_v1 | heads | 0.5 | 1 | 0.25, 0.75, 0.75, 0.25 |" in text
    assert "## What is not decided here" in text
