"""Claims are decided as the page says: paired, over seeds and questions; secateur takes their commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from secateur import naming
from secateur.checks import checked
from secateur.errors import SecateurError
from secateur.launch import config_path
from secateur.pipeline import check_buildable
from secateur.record import ModelFigures, Record, StepRecord, Structure, write_record
from tests.test_record import make, pair

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "scripts"
QUESTIONS = 400


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("claiming", "circumstances")]:
        del sys.modules[name]


def run(
    folder: Path, *, method: str = "l0", seed: int = 1, f1: Any = (50.0,), ids: str = "same", **changes: Any
) -> Record:
    """A kept run with 50 % of the heads gone, and the F1 of its questions."""
    from claiming.evidence import FILE_NAME, Questions

    steps = {"surgery": {"evaluate": False}}
    config = {
        "dataset": {"name": "squad_v1", "max_seq_length": 384, "limit_train": None, "limit_test": 2000},
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
    scored = Questions(questions=ids, f1={"final": list(f1)})
    (folder / name / FILE_NAME).write_text(scored.model_dump_json())
    return record


def contrast(more: str = "l0", less: str = "gain", **changes: Any) -> Any:
    from claiming.plan import Contrast, plain

    where = {"dataset.name": "squad_v1", "method.heads": 0.5}
    sides = (plain(name, {**where, "method.name": name}) for name in (more, less))
    return Contrast(setting="half of the heads", **dict(zip(("more", "less"), sides, strict=True)), **changes)


def scores(mean: float, *, spread: float = 30.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, QUESTIONS)


# --- Intervals ---


def test_a_paired_interval_has_the_width_that_the_theory_says() -> None:
    """One seed, 400 normal differences of deviation 10: ± 1.96 · 10 / √400 around their mean."""
    from claiming.intervals import paired_interval

    difference_SQ = scores(3.0, spread=10.0)[None]
    low, high = paired_interval(difference_SQ)
    assert (low + high) / 2 == pytest.approx(difference_SQ.mean(), abs=0.1)
    assert high - low == pytest.approx(2 * 1.96 * 10 / 20, rel=0.1)


def test_pairing_takes_out_what_makes_questions_differ() -> None:
    """Questions spread by 30 points, the two models on one question by 5; drawn apart, the effect of 2 is lost."""
    from claiming.intervals import paired_interval, verdict_of

    question_Q, noise_Q = scores(50.0), scores(2.0, spread=5.0, seed=1)
    paired = paired_interval((question_Q + noise_Q - question_Q)[None])
    shuffled_Q = np.random.default_rng(2).permutation(question_Q)
    unpaired = paired_interval((question_Q + noise_Q - shuffled_Q)[None])
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 4
    assert verdict_of(paired) == "holds"
    assert verdict_of(unpaired) == "undecided"


def test_seeds_that_disagree_widen_the_interval() -> None:
    """Resampling the questions of all seeds together would take them for certain."""
    from claiming.intervals import paired_interval, verdict_of

    calm_SQ = np.stack([scores(1.0, spread=1.0, seed=seed) for seed in range(3)])
    torn_SQ = calm_SQ + np.array([[-8.0], [0.0], [8.0]])
    assert verdict_of(paired_interval(calm_SQ)) == "holds"
    assert verdict_of(paired_interval(torn_SQ)) == "undecided"


def test_the_same_scores_give_the_same_interval() -> None:
    from claiming.intervals import paired_interval

    assert paired_interval(scores(1.0)[None]) == paired_interval(scores(1.0)[None])


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(5.0, "holds"), (0.0, "undecided"), (-5.0, "contradicted")],
    ids=["clear", "none", "opposite"],
)
def test_the_verdict_follows_the_interval(effect: float, verdict: str, tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    base = scores(50.0)
    for seed in (1, 2, 3):
        noise = scores(0.0, spread=4.0, seed=seed) - scores(0.0, spread=4.0, seed=seed).mean()
        run(tmp_path, method="gain", seed=seed, f1=base)
        run(tmp_path, method="l0", seed=seed, f1=base + effect + noise)
    outcome = judge(contrast(), read(tmp_path))
    assert outcome.verdict == verdict
    assert f"**{effect:+.1f}**" in outcome.figures.replace("**-0.0**", "**+0.0**")
    assert "3 seeds; 400 questions" in outcome.figures


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ([0.1, 0.2], "undecided"),
        ([0.1, 0.2, 0.3], "holds"),
        ([0.1, -0.2, 0.3], "undecided"),
        ([-1, -2, -3], "contradicted"),
        ([0.0, 0.1, 0.2], "undecided"),
    ],
)
def test_figures_without_questions_need_three_runs_that_agree(figures: list[float], verdict: str) -> None:
    from claiming.intervals import agreed

    assert agreed(figures) == verdict


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
    with pytest.raises(SecateurError, match=r"^l0-1 and l0-again: both answer to "):
        judge(contrast(), read(tmp_path))


def test_seeds_count_only_where_both_sides_have_them(tmp_path: Path) -> None:
    from claiming.evidence import read
    from claiming.judging import judge

    for method, seeds in {"l0": (1, 2), "gain": (1, 3)}.items():
        for seed in seeds:
            run(tmp_path, method=method, seed=seed, f1=scores(50.0))
    assert "one seed, over questions alone" in judge(contrast(), read(tmp_path)).figures
    assert judge(contrast(less="random"), read(tmp_path)).verdict == "not run"


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


def test_each_question_is_scored_at_every_stage_and_must_add_up_to_the_record(tmp_path: Path) -> None:
    """Else the questions would be others than the run's, and every interval wrong without anyone seeing it."""
    import json

    from claiming.evidence import score_questions

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
    assert kept.f1 == {"final": [100.0] * 6, "surgery": [0.0] * 6}
    record.compressed = ModelFigures(folder="model", scores={"f1": 90.0})
    with pytest.raises(SecateurError, match=r"comes to an F1 of 100\.00, the record says 90\.00"):
        score_questions(record, tmp_path)


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


# --- The commands ---


def compose_one(*overrides: str) -> Any:
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("compress", list(overrides))


def toy_rows(config: Any) -> Any:
    from secateur.checks import build
    from secateur.data.prepared import read_rows

    dataset = checked(config).dataset
    return read_rows(dataset, build(dataset.task, key="dataset.task"))["test"]


def jobs_of(arguments: list[str]) -> list[list[str]]:
    """The overrides of each job of a multirun, as Hydra's basic sweeper takes them apart."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(arguments)
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(overrides) for overrides in batch]


def all_jobs(profile: str, *more: str) -> list[tuple[Any, list[str]]]:
    """Every job of every section's commands, beside what the command belongs to."""
    from claiming.sections import SECTIONS

    return [
        (job, overrides)
        for make_section in SECTIONS.values()
        for job in make_section(profile).jobs
        for overrides in jobs_of(job.arguments(sweep="claims", output=Path("out"), data=None, more=more)[1:])
    ]


@pytest.mark.parametrize("profile", ["cpu", "full"])
def test_every_command_composes_and_can_be_built(profile: str, tmp_path: Path) -> None:
    """A mistake in the last of twenty would show after hours. Seeds and amounts in between change nothing in that."""
    tiny = ("model=tiny", f"paths.output={tmp_path}", f"dataset.train_files=[{tmp_path / 'x.json'}]")
    (tmp_path / "x.json").write_text("{}")
    firsts = {}
    for job, overrides in all_jobs(profile, *tiny, f"dataset.test_files=[{tmp_path / 'x.json'}]"):
        kind = [text for text in overrides if not any(sign in text for sign in ("seed=", "sparsity=", "s=0."))]
        firsts.setdefault((job.experiment, *kind), overrides)
    for overrides in firsts.values():
        check_buildable(checked(compose_one(*overrides)))
    assert len(firsts) >= 12


@pytest.mark.parametrize("profile", ["cpu", "full"])
def test_no_job_is_asked_for_twice(profile: str) -> None:
    asked = [tuple(sorted(overrides)) for _, overrides in all_jobs(profile)]
    assert len(asked) == len(set(asked)) > 40


def test_every_claim_has_runs_that_its_tests_look_for() -> None:
    """Both are written by hand: a side that no command runs would stay "not run" for ever."""
    from claiming.plan import Agreement
    from claiming.sections import SECTIONS

    configs: dict[str, list[dict]] = {}
    for job, overrides in all_jobs("cpu"):
        if "seed=1" in overrides:
            config = naming.resolved(compose_one(*overrides))
            for claim in job.claims:
                configs.setdefault(claim, []).append(config)
    for claim in (claim for make_section in SECTIONS.values() for claim in make_section("cpu").claims):
        for test in claim.tests:
            terms = () if isinstance(test, Agreement) else (*test.more.terms, *test.less.terms)
            for where in [test.where] if isinstance(test, Agreement) else [term.runs.where for term in terms]:
                assert any(matches(config, where) for config in configs[claim.id]), (claim.id, where)


def matches(config: dict, where: Any) -> bool:
    from claiming.evidence import Evidence, Questions, select

    evidence = Evidence(record=make(config=config), questions=Questions(questions="", f1={}))
    return bool(select([evidence], where))


def test_a_dry_run_prints_what_one_claim_needs_with_the_overrides_of_every_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "claims"), "gates", "--only", "C4", "--data", "D", "--dry-run"]
    done = subprocess.run([*command, "--", "trainer=cpu"], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" trainer=cpu") and "dataset.data_dir=D/squad_v1" in line for line in lines)
    assert not list(tmp_path.iterdir())
    refused = subprocess.run([*command, "--only", "Z9"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "--only Z9: there is no such claim; there are A1, " in refused.stderr
