"""Every method on classification too: what a method does must not hang on its task.

Crossed here: all rows of ``METHODS`` × one data set of pairs × what a task could break (training, the amount that goes,
surgery, resuming, the model folder). What knows no task (keys, records, being asked again) is crossed with question
answering alone, in ``test_methods``; the predecessor's moments of death in ``test_resume``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

import secateur
from secateur.record import Record
from secateur.structure.checkpoint import load
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from tests.contract.methods import Row
from tests.contract.test_methods import INPUTS, inputs_for
from tests.contract.test_resume import EVERY_STEP, assert_same
from tests.small_runs import Killed, kill_at, run


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Overrides for 60 pairs to train on and 12 to test on: does the answer fit the question?"""
    folder = tmp_path_factory.mktemp("pairs")
    colours = ("blue", "green", "red")
    for split, count in {"train": 60, "test": 12}.items():
        rows = [(n, colours[n % 3], colours[n % 2]) for n in range(count)]
        lines = [f"is door {n} {asked}?,it is {said},{asked == said}" for n, asked, said in rows]
        (folder / f"{split}.csv").write_text("\n".join(["text,text_pair,label", *lines]), encoding="utf-8")
    files = [f"dataset.{split}_files={folder / split}.csv" for split in ("train", "test")]
    return (
        "dataset=custom_classification",
        *files,
        "dataset.max_seq_length=24",
        "dataset.max_question_length=12",
        "model.vocabulary_size=120",
    )


@pytest.fixture(scope="session")
def classified(row: Row, pairs: tuple[str, ...], output: Path) -> tuple[Record, Path]:
    """The method's record and run folder."""
    return run(*row.overrides, *pairs, EVERY_STEP, output=output)


def test_trains_and_reaches_what_was_asked_for(row: Row, classified: tuple[Record, Path]) -> None:
    record, _ = classified
    assert record.status == "finished"
    assert record.reference is not None
    assert record.compressed is not None
    assert set(record.reference.scores) == set(record.compressed.scores) == {"accuracy"}
    for figure, asked in row.reached.items():
        assert asked <= getattr(record.compressed.structure, figure) <= asked + 0.05


def test_surgery_is_exact(classified: tuple[Record, Path]) -> None:
    """The pooler and the head see what they saw before."""
    record, folder = classified
    steps = sorted((folder / "steps").glob("*"))
    before = next((step for step in steps if (step / "gates.safetensors").is_file()), None)
    if before is None:
        pytest.skip("the method sets no gates")
    assert record.reference is not None
    start, shrunk = load(folder / record.reference.folder), load(steps[steps.index(before) + 1] / "model")
    with torch.inference_mode(), gated(start, PerGate.load(before / "gates.safetensors")):
        expected = start(**INPUTS).logits
    with torch.inference_mode():
        torch.testing.assert_close(shrunk(**INPUTS).logits, expected, atol=1e-5, rtol=0)


def test_reloads_with_the_names_of_its_labels(classified: tuple[Record, Path]) -> None:
    _, folder = classified
    model = secateur.load(folder / "model")
    assert type(model).__name__.endswith("ForSequenceClassification")
    assert model.config.id2label == {0: "False", 1: "True"}
    with torch.inference_mode():
        assert model(**inputs_for(model)).logits.shape == (1, 2)


def test_what_transformers_builds_by_itself_needs_no_code_of_ours(row: Row, classified: tuple[Record, Path]) -> None:
    """Fewer layers, or zeros: a stock model, alone in its folder."""
    folder = classified[1] / "model"
    if list(folder.glob("*.py")):
        pytest.skip("the method leaves heads or widths that differ from layer to layer")
    stock = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False)
    assert type(stock).__module__.startswith("transformers.")
    with torch.inference_mode():
        assert stock(**INPUTS).logits.equal(secateur.load(folder)(**INPUTS).logits)


def test_every_phase_resumes_to_the_bit(
    row: Row, pairs: tuple[str, ...], classified: tuple[Record, Path], output: Path, tmp_path: Path
) -> None:
    """54 training rows, batches of 16: each phase in turn is killed after three of an epoch's four."""
    if not row.phases:
        pytest.skip("the method trains nothing but the predecessor")
    overrides = [*row.overrides, *pairs, EVERY_STEP, f"paths.store={output / 'store'}"]
    for _ in row.phases:
        with pytest.raises(Killed):
            run(*overrides, kill_at(3, when="batch"), output=tmp_path)
    assert_same(classified, run(*overrides, output=tmp_path))
