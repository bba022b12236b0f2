"""A run's folder is named after its config: the same config gives the same name, a different one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.configuration.checks import checked
from secateur.configuration.naming import run_name
from secateur.errors import SecateurError
from tests.small_runs import composed


def name(*overrides: str, output: Path) -> str:
    return run_name(_root_=composed(*overrides, output=output))


def test_says_what_was_asked_for(tmp_path: Path) -> None:
    assert name("seed=3", output=tmp_path).startswith("gain-tiny-toy_qa-s0.5-seed3-")
    assert name("method=control", output=tmp_path).startswith("control-tiny-toy_qa-seed1-")


def test_is_the_same_wherever_and_whenever_it_is_asked(tmp_path: Path) -> None:
    same = {
        name(*overrides, output=tmp_path / folder)
        for folder, overrides in {
            "a": [],
            "b": ["sweep=other"],
            "c": ["force=true"],
            "e": ["threads=1"],
            "d": ["callbacks.checkpoint.every_n_train_steps=7"],
            "f": ["export=onnx"],
        }.items()
    }
    assert len(same) == 1


def test_a_reference_to_nothing_is_left_to_the_checks(tmp_path: Path) -> None:
    """Hydra asks for the name before them, and would tell an error here as its own."""
    config = composed("predecessor.seed=${sed}", output=tmp_path)
    assert run_name(_root_=config) == run_name(_root_=config)
    with pytest.raises(SecateurError, match=r"^predecessor\.seed=.*'sed' not found"):
        checked(config)


def test_differs_with_whatever_decides_the_outcome(tmp_path: Path) -> None:
    variants = [[], ["sparsity=0.4"], ["seed=2"], ["predecessor.epochs=5"], ["method.steps.recover.epochs=2"]]
    assert len({name(*overrides, output=tmp_path) for overrides in variants}) == len(variants)


def test_follows_the_contents_of_local_files(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"{split}.json").write_text("{}")
    overrides = ["dataset=squad_v1", f"dataset.data_dir={tmp_path}"]
    before = name(*overrides, output=tmp_path)
    (tmp_path / "train.json").write_text('{"data": []}')
    assert name(*overrides, output=tmp_path) != before


def test_never_fails_on_what_the_checks_will_report(tmp_path: Path) -> None:
    assert name("+dataset.stranger=1", "dataset.data_dir=/nowhere", output=tmp_path)
