"""The commands other than the launcher, on a run that the launcher left."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from secateur.commands.analyze import main as analyze
from secateur.commands.evaluate import evaluate_checkpoint
from secateur.commands.launch import config_path
from secateur.commands.measure import main as measure
from secateur.configuration.instantiation import typed
from secateur.configuration.schema import EvaluateConfig
from secateur.data.trained_lengths import lengths_of
from secateur.errors import SecateurError
from secateur.record import Record, read_record, write_record
from secateur.runs import measuring, run_folder
from secateur.runs.run_folder import Alone, check_runs_writable
from secateur.structure.checkpoint import load
from tests.small_runs import DATASETS, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    return run("method=random", "sparsity=0.4", "model.epochs=1", output=tmp_path_factory.mktemp("output"))


def evaluated(*overrides: str, tmp_path: Path) -> dict[str, float]:
    if not any(override.startswith("dataset=") for override in overrides):
        overrides = (*DATASETS["toy_qa"], "dataset=toy_qa", *overrides)
    overrides = ("trainer=cpu", "~callbacks.progress", *overrides)
    with initialize_config_dir(config_path(), version_base="1.3"):
        composed = compose("evaluate", [*overrides, f"paths.output={tmp_path}", f"output={tmp_path}"])
    return evaluate_checkpoint(typed(composed, EvaluateConfig))


def test_the_model_carries_the_lengths_that_it_was_trained_with(finished: tuple[Record, Path]) -> None:
    """Whoever serves it has the folder, and not the run's settings."""
    asked = dict(override.split("=") for override in DATASETS["toy_qa"])
    expected = {name: int(asked[f"dataset.{name}"]) for name in ("max_seq_length", "max_question_length", "doc_stride")}
    assert vars(lengths_of(load(finished[1] / "model").config)).items() >= expected.items()


def test_evaluate_gives_the_scores_of_the_record(finished: tuple[Record, Path], tmp_path: Path) -> None:
    """Also in a place where nothing of the run is but its model folder."""
    record, folder = finished
    scores = evaluated(f"checkpoint={folder / 'model'}", tmp_path=tmp_path)
    assert record.compressed is not None
    assert scores == record.compressed.scores
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert predictions == json.loads((folder / "predictions.json").read_text())
    assert len(predictions) == 16


def test_a_test_file_alone_is_scored_where_it_stands_for_training_data_too(
    finished: tuple[Record, Path], tmp_path: Path
) -> None:
    rows = [{"context": f"Door {n} is old.", "question": f"How is door {n}?", "answer": "old"} for n in range(8)]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = [f"dataset.{split}_files=[{tmp_path / 'test.jsonl'}]" for split in ("train", "test")]
    lengths = ["dataset.max_seq_length=48", "dataset.max_question_length=16", "dataset.doc_stride=8"]
    asked = [f"checkpoint={finished[1] / 'model'}", "dataset=custom_qa", *files, *lengths]
    assert evaluated(*asked, tmp_path=tmp_path).keys() == {"em", "f1"}
    assert len(json.loads((tmp_path / "predictions.json").read_text())) == 8


def test_evaluate_refuses_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(SecateurError, match=r"no such folder"):
        evaluated("checkpoint=/nowhere", tmp_path=tmp_path)


def test_measure_times_a_run_as_the_run_itself_did(finished: tuple[Record, Path]) -> None:
    measure([str(finished[1]), "--seconds", "0.01"])
    again = read_record(finished[1]).latency
    assert again is not None
    assert [(pair.batch_size, pair.length) for pair in again.pairs] == [(1, 16)]


def test_measure_times_again_and_changes_nothing_else(finished: tuple[Record, Path]) -> None:
    record, folder = finished
    measure([str(folder), "--batch-sizes", "2", "--lengths", "16", "24", "--seconds", "0.01"])
    again = read_record(folder)
    assert again.latency is not None
    assert [(pair.batch_size, pair.length) for pair in again.latency.pairs] == [(2, 16), (2, 24)]
    untouched = {"latency", "reference", "compressed"}
    assert again.model_dump(exclude=untouched) == record.model_dump(exclude=untouched)
    assert again.compressed is not None
    assert record.compressed is not None
    assert again.compressed.scores == record.compressed.scores


def test_measure_keeps_what_happened_to_a_run_meanwhile(
    finished: tuple[Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may wait for hours behind others, and be exported or run anew before its turn comes."""
    record, folder = finished

    def check_then_change(folders: Iterable[Path]) -> None:
        check_runs_writable(folders)
        write_record(read_record(folder).model_copy(update={"seconds": 4321.0}), folder)

    monkeypatch.setattr(run_folder, "check_runs_writable", check_then_change)
    measure([str(folder), "--seconds", "0.01"])
    assert read_record(folder).seconds == 4321.0
    write_record(record, folder)


def test_measure_leaves_a_run_alone_that_another_process_works_on(finished: tuple[Record, Path]) -> None:
    with Alone(finished[1]), pytest.raises(SystemExit, match=r"is working there; let it finish$"):
        measure([str(finished[1])])


def test_measure_says_before_it_begins_that_a_run_cannot_be_written(
    finished: tuple[Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = finished

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    told = rf"^run={folder}: cannot be written \(Read-only file system\); give a writable copy of the run$"
    for command in (measure, analyze):
        with pytest.raises(SystemExit, match=told):
            command([str(folder)])


def test_measure_says_in_one_line_that_the_disk_is_full(
    finished: tuple[Record, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(measuring, "measure_again", fill)
    with pytest.raises(SystemExit, match=rf"^{finished[1]}: .*\(No space left on device\); free space"):
        measure([str(finished[1])])


@pytest.mark.skipif(torch.cuda.is_available(), reason="the accelerator is there")
def test_measure_says_in_one_line_that_the_device_is_not_there(finished: tuple[Record, Path], tmp_path: Path) -> None:
    record, _ = finished
    assert record.latency is not None
    elsewhere = record.model_copy(update={"latency": record.latency.model_copy(update={"device": "cuda:0"})})
    write_record(elsewhere, tmp_path)
    with pytest.raises(SystemExit, match=r"was measured on cuda:0, which this machine lacks; use one that has it$"):
        measure([str(tmp_path)])


def test_measure_says_in_one_line_that_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no finished run there"):
        measure([str(tmp_path)])
