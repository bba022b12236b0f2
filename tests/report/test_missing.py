"""Jobs of a sweep that left no record."""

import pytest
from omegaconf import OmegaConf

from secateur.report.missing import missing_jobs
from secateur.report.reading import read
from secateur.report.unfinished import unfinished
from tests.records import make_record, put

GRID = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def sweep_of(folder, *overrides, sweeper=GRID):
    folder.mkdir(exist_ok=True)
    hydra = {
        "sweeper": {"_target_": sweeper},
        "overrides": {"task": list(overrides)},
        "sweep": {"dir": "${sweep_folder:}"},
    }
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), folder / "multirun.yaml")
    return folder


def job(method, seed, sparsity=0.5, **changes):
    config = {"seed": seed, "sparsity": sparsity, "method": {"name": method, "split": "joint"}}
    return make_record(
        method=method, seed=seed, sparsity=sparsity, name=f"{method}-{sparsity}-{seed}", config=config, **changes
    )


def missing_in(*folders):
    missing, unknown = missing_jobs(folders, read(folders, warn=lambda line: None))
    assert unknown == {}
    return missing


def test_what_left_no_record_is_named_by_what_was_asked(tmp_path):
    sweep = sweep_of(
        tmp_path / "first", "method=gain,random", "sparsity=0.30,0.5", "seed=1,2", "model=tiny", "sweep=first"
    )
    put(
        sweep,
        *(job(method, seed, sparsity) for method in ("gain", "random") for seed in (1, 2) for sparsity in (0.3, 0.5)),
    )
    assert missing_in(sweep) == []
    (sweep / "gain-0.3-2" / "record.json").unlink()
    assert missing_in(sweep) == ["first: method=gain sparsity=0.3 seed=2"]
    assert missing_in(tmp_path) == missing_in(sweep)


def test_a_failed_job_is_not_missing_and_a_range_is_a_grid(tmp_path):
    sweep = sweep_of(tmp_path / "s", "method=gain", "seed=range(1,4)")
    put(sweep, job("gain", 1), job("gain", 2, status="failed", error="x"))
    assert missing_in(sweep) == ["s: seed=3"]


def test_keys_of_a_method_and_what_no_config_keeps(tmp_path):
    """Jobs that only the name of an experiment tells apart are counted."""
    sweep = sweep_of(tmp_path / "s", "experiment=claims/a,claims/b", "method.split=joint,separate")
    put(sweep, job("gain", 1))
    assert missing_in(sweep) == [
        "s: method.split=joint (1 of 2 such jobs)",
        "s: method.split=separate (2 of 2 such jobs)",
    ]


def test_a_run_that_two_sweeps_share_is_missing_in_neither(tmp_path):
    for name in ("a", "b"):
        put(sweep_of(tmp_path / name, "seed=1,2"), job("gain", 1), job("gain", 2))
    assert missing_in(tmp_path / "a", tmp_path / "b") == []


def test_a_half_written_record_is_a_job_without_one(tmp_path):
    sweep = put(sweep_of(tmp_path / "s", "seed=1,2"), job("gain", 1), job("gain", 2))
    (sweep / "gain-0.5-2" / "record.json").rename(sweep / "gain-0.5-2" / "record.json.partial")
    assert missing_in(sweep) == ["s: seed=2"]


def test_of_two_sweeps_in_one_folder_the_last_command_counts(tmp_path):
    """Hydra keeps no earlier one; the rows of both are in the table all the same."""
    sweep = put(sweep_of(tmp_path / "s", "method=gain", "seed=1,2,3"), job("gain", 1))
    put(sweep_of(sweep, "method=random,l0", "seed=1"), job("random", 1))
    assert missing_in(sweep) == ["s: method=l0"]
    assert len(read([sweep], warn=print).runs) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("hydra:\n  sweeper: {_target_: " + GRID + "}\n  overrides:\n    task: ['method=glob(*)']\n", "ConfigLoader"),
        (
            "hydra:\n  sweeper: {_target_: " + GRID + "}\n  overrides:\n    task: ['method=(']\n",
            "Error parsing override",
        ),
        ("hydra:\n  sweeper: {_targ", "while parsing"),
    ],
)
def test_a_sweep_whose_jobs_cannot_be_known_is_listed_with_the_reason(tmp_path, content, reason):
    """And the others are read as ever."""
    broken = put(sweep_of(tmp_path / "broken", "seed=1"), job("gain", 1))
    (broken / "multirun.yaml").write_text(content)
    put(sweep_of(tmp_path / "whole", "seed=1,2"), job("l0", 1))
    found = read([tmp_path], warn=print)
    missing, unknown = missing_jobs([tmp_path], found)
    assert missing == ["whole: seed=2"]
    assert reason in unknown["broken"]
    assert unknown["broken"].endswith("missing jobs of this sweep are not listed")
    assert ("unreadable", "broken") in [each[:2] for each in unfinished(found, [tmp_path])]


def test_what_only_a_job_knows_is_no_trouble(tmp_path):
    """Overrides may refer to the time, and values be none of YAML's."""
    sweep = sweep_of(tmp_path / "s", "seed=1,2", "sweep=${now:%Y}", "dataset.limit_train=a*b,*c")
    put(sweep, job("gain", 1))
    assert missing_in(sweep)[0].startswith("s: seed=1")


@pytest.mark.parametrize("sweeper", ["hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"])
def test_a_search_asks_for_no_jobs_beforehand(tmp_path, sweeper):
    sweep = sweep_of(tmp_path / "s", "seed=1,2", sweeper=sweeper)
    put(sweep, job("gain", 1))
    assert missing_in(sweep) == []
