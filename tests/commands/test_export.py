"""A run that is exported, immediately or afterwards: files, record and card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secateur.commands.export import main
from secateur.commands.measure import main as measure
from secateur.configuration import extras
from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.record import Record, read_record, write_record
from secateur.runs import measuring
from tests.small_runs import composed, run

SMALL = ("method=random", "sparsity=0.4", "model.epochs=1", "model.architecture.num_hidden_layers=1")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def exported(output: Path) -> tuple[Record, Path]:
    return run(*SMALL, "export=onnx", output=output)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages are not installed."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name.startswith("onnx") else name)


def test_the_run_holds_the_model_as_onnx_and_the_record_says_so(exported: tuple[Record, Path]) -> None:
    record, folder = exported
    assert record.onnx is not None
    assert (folder / record.onnx.folder / "model.onnx").is_file()
    assert record.onnx.disk_bytes == sum(path.stat().st_size for path in (folder / "onnx").iterdir())
    assert 0 < record.onnx.largest_difference < 1e-4


def test_both_runtimes_are_timed_at_the_same_settings(exported: tuple[Record, Path]) -> None:
    record, _ = exported
    assert record.latency is not None
    settings = [(pair.runtime, pair.dtype, pair.batch_size, pair.length) for pair in record.latency.pairs]
    assert settings == [("pytorch", "float32", 1, 16), ("onnxruntime", "float32", 1, 16)]


def test_the_card_tells_the_runtimes_apart(exported: tuple[Record, Path]) -> None:
    card = (exported[1] / "model" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"`onnx` is the same as ONNX: 0\.\d MB, outputs within \de-0\d\.", card)
    assert re.search(r"^\* float32, 1 × 16 tokens", card, re.MULTILINE)
    assert re.search(r"^\* ONNX Runtime, float32, 1 × 16 tokens", card, re.MULTILINE)


def test_the_command_compares_and_times_again_and_changes_nothing_else(exported: tuple[Record, Path]) -> None:
    record, folder = exported
    before = (folder / "onnx" / "model.onnx").stat().st_mtime_ns
    assert record.latency is not None
    untimed = record.latency.model_copy(update={"pairs": []})
    write_record(record.model_copy(update={"onnx": None, "latency": untimed}), folder)
    main([str(folder)])
    again = read_record(folder)
    assert again.onnx == record.onnx
    assert again.latency is not None
    assert [pair.runtime for pair in again.latency.pairs] == ["pytorch", "onnxruntime"]
    timed = {"latency", "reference", "compressed"}
    assert again.model_dump(exclude=timed) == record.model_dump(exclude=timed)
    assert (folder / "onnx" / "model.onnx").stat().st_mtime_ns == before


def test_asked_of_a_finished_run_it_is_made_once(
    exported: tuple[Record, Path], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is outside what names a run, so the same folder is found, and nothing is trained again."""
    record, folder = exported
    asked = []
    monkeypatch.setattr(measuring, "export_finished", lambda _, record, folder: asked.append((record.name, folder)))
    run(*SMALL, "export=onnx", output=output)
    assert not asked
    write_record(record.model_copy(update={"onnx": None}), folder)
    run(*SMALL, output=output)
    assert not asked
    run(*SMALL, "export=onnx", output=output)
    assert asked == [(record.name, folder)]
    write_record(record, folder)


def test_a_missing_extra_is_told_before_anything_starts(
    exported: tuple[Record, Path], output: Path, without_extra: None
) -> None:
    told = r'needs onnx, onnxruntime, onnxscript; install with: pip install "secateur\[onnx\]"'
    with pytest.raises(SecateurError, match=f"^export=onnx: {told}$"):
        checked(composed("export=onnx", output=output))
    with pytest.raises(SystemExit, match=f"^secateur-export: {told}$"):
        main([str(exported[1])])
    with pytest.raises(SystemExit, match=f"^timing an exported run: {told}$"):
        measure([str(exported[1])])
    checked(composed(output=output))


def test_the_command_says_in_one_line_that_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no finished run there"):
        main([str(tmp_path)])


def test_a_damaged_export_is_told_in_one_line(exported: tuple[Record, Path]) -> None:
    file = exported[1] / "onnx" / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        SystemExit, match=rf"^{file}: ONNX Runtime cannot read it [^\n]*; delete {file.parent}, and sec"
    ):
        main([str(exported[1])])
    file.write_bytes(whole)


def test_a_run_whose_model_is_gone_is_told_in_one_line(exported: tuple[Record, Path], tmp_path: Path) -> None:
    write_record(exported[0], tmp_path)
    with pytest.raises(SystemExit, match=rf"^{tmp_path}/model: no such folder; [^\n]*$"):
        main([str(tmp_path)])
