"""The command prints and draws the zeros of a finished run, and refuses in one line a run without any."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secateur.commands.analyze import main
from secateur.configuration import extras
from secateur.record import Record, read_record, write_record
from tests.small_runs import run

SMALL = ("model.epochs=1", "model.architecture.num_hidden_layers=2")
ZEROS = ["masks.png", "spread.png", "zeros.png"]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def sparse(output: Path) -> tuple[Record, Path]:
    return run("method=magnitude", "sparsity=0.75", *SMALL, output=output)


@pytest.fixture
def folder(sparse: tuple[Record, Path]) -> Path:
    """The run, as if nothing had been drawn."""
    shutil.rmtree(sparse[1] / "figures", ignore_errors=True)
    return sparse[1]


def drawn(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "figures").glob("*"))


def test_a_sparse_run_draws_its_zeros_when_it_ends(output: Path) -> None:
    """What a report is to embed must not wait for a command; the map of words, which takes long, does."""
    _, folder = run("method=magnitude", "sparsity=0.5", *SMALL, output=output)
    assert drawn(folder) == ZEROS


def test_the_table_has_a_line_for_each_projection(folder: Path, capsys: pytest.CaptureFixture) -> None:
    main([str(folder), "--embeddings", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny on toy_qa: magnitude, sparsity 0.75"
    rows = [line.split() for line in lines[2:8]]
    assert [row[-8] for row in rows[:4]] == ["Q", "K", "V", "O"]
    assert {row[-7] for row in rows} == {"0.750"}
    assert max(map(len, lines[:8])) <= 80
    assert drawn(folder) == ZEROS


def test_words_are_mapped_before_and_after(folder: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sklearn", reason="the extra analysis is not installed")
    main([str(folder), "--embeddings", "40", "--layer", "0"])
    assert "words: 40; of the 10 nearest of each " in capsys.readouterr().out
    assert drawn(folder) == ["embeddings.png", *ZEROS]


def test_without_the_extra_nothing_is_drawn_and_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        main([str(folder)])
    assert stopped.value.code == (
        'embeddings=1000: needs scikit-learn; install with: pip install "secateur[analysis]", or give --embeddings 0'
    )
    assert not drawn(folder)


def test_a_run_without_zeros_is_told_in_one_line(output: Path) -> None:
    _, folder = run("method=random", "sparsity=0.5", *SMALL, output=output)
    with pytest.raises(SystemExit) as stopped:
        main([str(folder)])
    assert stopped.value.code == f"{folder}: its model has no fixed zeros; give a run of method rpp, nip or magnitude"


def test_what_is_no_finished_run_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no record can be read there"):
        main([str(tmp_path)])
    write_record(read_record(folder).model_copy(update={"status": "running"}), tmp_path)
    with pytest.raises(SystemExit, match="the run is running; finish it first"):
        main([str(tmp_path)])


def test_a_layer_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"^layer=2: the model has no such layer; give one from 0 to 1$"):
        main([str(folder), "--layer", "2", "--embeddings", "0"])
    assert not drawn(folder)
