"""What claims run: secateur takes every command, and every comparison finds its runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from transformers import BertConfig

from secateur.commands.launch import config_path
from secateur.configuration import naming
from secateur.configuration.checks import checked
from secateur.runs.building import check_buildable
from tests.scripts.claiming.conftest import SCRIPTS
from tests.test_record import make

PARENT = "model.checkpoint=out/"


def compose_one(*overrides: str) -> Any:
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("compress", list(overrides))


def all_jobs(profile: str, *more: str) -> list[tuple[Any, list[str]]]:
    """Every job of every section's commands, beside what the command belongs to."""
    from claiming.names import jobs_of
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
    BertConfig(num_hidden_layers=12).save_pretrained(tmp_path / "model")
    given = f"model.checkpoint={tmp_path / 'model'}"
    tiny = (
        "model=minilm",
        given,
        f"paths.output={tmp_path}",
        f"dataset.train_files=[{tmp_path / 'x.json'}]",
    )
    (tmp_path / "x.json").write_text("{}")
    firsts = {}
    for job, overrides in all_jobs(profile, *tiny, f"dataset.test_files=[{tmp_path / 'x.json'}]"):
        kind = [
            text
            for text in overrides
            if not any(
                sign in text for sign in ("seed=", "sparsity=", "s=0.", ".p=", ".rate=", "layers=", ".gamma=", PARENT)
            )
        ]
        firsts.setdefault((job.experiment, *kind), overrides)
    for overrides in firsts.values():  # a parent has not run, and left no model to begin with
        stand_in = (given if each.startswith(PARENT) else each for each in overrides)
        check_buildable(checked(compose_one(*stand_in)))
    assert len(firsts) >= 12


@pytest.mark.parametrize("profile", ["cpu", "full"])
def test_layers_are_counted_by_the_models_depth(profile: str) -> None:
    """Half of them are left where half is said: what fits six layers does not fit twelve."""
    from claiming.depth_runs import PROFILES

    left = [each for _, overrides in all_jobs(profile) for each in overrides if each.startswith("method.layers=")]
    half, third, most = (PROFILES[profile].layers * share // 6 for share in (3, 2, 5))
    assert set(left) == {f"method.layers={count}" for count in (half, third, most)}


@pytest.mark.parametrize("profile", ["cpu", "full"])
def test_depth_has_five_seeds_of_the_small_tasks_and_every_data_set_where_nothing_is_varied(profile: str) -> None:
    """Their differences are a few points, which three seeds do not resolve."""
    from claiming.depth_runs import DATASETS, SMALL

    seeds: dict[tuple[str, str], set[str]] = {}
    for job, overrides in all_jobs(profile):
        for claim in job.claims if job.experiment == "depth" else ():
            seeds.setdefault((claim, job.dataset), set()).update(each for each in overrides if each[:5] == "seed=")
    five = {f"seed={seed}" for seed in range(1, 6)}
    for claim in ("E1", "E2", "E3", "E4", "E6", "C1", "C2", "C3"):
        assert all(seeds[claim, dataset] == five for dataset in SMALL), claim
    for claim in ("E1", "E6", "C1", "C2", "C3"):
        assert all((claim, dataset) in seeds for dataset in DATASETS), claim


@pytest.mark.parametrize("profile", ["cpu", "full"])
def test_no_job_is_asked_for_twice(profile: str) -> None:
    asked = [tuple(sorted(overrides)) for _, overrides in all_jobs(profile)]
    assert len(asked) == len(set(asked)) > 40


def test_every_claim_has_runs_that_its_tests_look_for() -> None:
    """Both are written by hand: a side that no command runs would stay "not run" for ever."""
    from claiming.plan import Agreement
    from claiming.sections import SECTIONS

    configs: dict[str, list[dict]] = {}
    by_name: dict[str, dict] = {}
    for job, overrides in all_jobs("cpu"):
        if "seed=1" in overrides:
            composed = compose_one(*overrides)
            config = naming.resolved(composed)
            by_name[naming.run_name(_root_=composed)] = config
            parent = by_name.get(Path(config["model"]["checkpoint"] or "").parent.name)
            for claim in job.claims:
                configs.setdefault(claim, []).append({"own": config, "parent": parent})
    for claim in (claim for make_section in SECTIONS.values() for claim in make_section("cpu").claims):
        for test in claim.tests:
            terms = () if isinstance(test, Agreement) else (*test.more.terms, *test.less.terms)
            for where in [test.where] if isinstance(test, Agreement) else [term.runs.where for term in terms]:
                assert any(matches(config, where) for config in configs[claim.id]), (claim.id, where)


def matches(configs: dict, where: Any) -> bool:
    from claiming.evidence import Evidence, select
    from claiming.points import Questions

    parent = configs["parent"] and make(config=configs["parent"])
    evidence = Evidence(record=make(config=configs["own"]), questions=Questions(questions="", points={}), parent=parent)
    return bool(select([evidence], where))


def test_runs_are_looked_at_once_they_are_over(tmp_path: Path) -> None:
    from claiming.plan import Job

    job = Job(experiment="deformer", dataset="squad_v1", overrides=("seed=1,2",), claims=("D6",), documents=7)
    where: dict[str, Any] = {"sweep": "s", "output": tmp_path, "data": None, "more": []}
    multirun, *looks = job.commands(**where)
    assert multirun[1:] == ["-m", "secateur", *job.arguments(**where)]
    assert [Path(look[0]).name for look in looks] == ["secateur-analyze"] * 2
    assert [look[1:] for look in looks] == [["--documents=7", str(run)] for run in job.runs(**where)]
    assert all(Path(look[0]).is_file() for look in looks)


def test_a_dry_run_prints_what_one_claim_needs_with_the_overrides_of_every_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "claims"), "gates", "--only", "C4", "--data", "D", "--dry-run"]
    done = subprocess.run([*command, "--", "trainer=cpu"], capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" trainer=cpu") and "dataset.data_dir=D/squad_v1" in line for line in lines)
    assert not list(tmp_path.iterdir())
    refused = subprocess.run([*command, "--only", "Z9"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "--only Z9: there is no such claim; there are A1, " in refused.stderr
