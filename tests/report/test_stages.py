"""Both stages are combined in one row: what was compressed on text, and its scores after fine-tuning on every task."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from secateur.commands.report import main
from secateur.record import write_record
from secateur.report.rows import Stat
from secateur.report.stages import StageRow, stage_rows
from secateur.report.stages_table import render_stages, stage_lines
from tests.two_stages import DENSE, stage_1, stage_2


def text_of(rows: list[StageRow]) -> str:
    console = Console(width=100, file=io.StringIO())
    console.print(render_stages(rows))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_row_has_every_task_and_what_its_model_scored_on_text() -> None:
    first = stage_1()
    dense, ours = stage_rows([first, stage_2(first, "rte", 63.0), stage_2(first, "cola", 40.0)])
    assert (dense.method, dense.sparsity, ours.method, ours.sparsity) == ("dense", None, "rpp", 0.8)
    assert {task: cell.score.mean for task, cell in ours.tasks.items()} == {"rte": 63.0, "cola": 40.0}
    assert {task: cell.kept.mean for task, cell in ours.tasks.items() if cell.kept} == pytest.approx(
        {"rte": 0.9, "cola": 0.8}
    )
    assert {task: cell.score for task, cell in dense.tasks.items()} == {t: Stat(s, None, 1) for t, s in DENSE.items()}
    assert {name: stat.mean for name, stat in ours.text_scores.items()} == {"mlm_accuracy": 40.0, "nsp_accuracy": 80.0}
    assert {name: stat.mean for name, stat in dense.text_scores.items()} == {"mlm_accuracy": 60.0, "nsp_accuracy": 95.0}
    assert ours.zeroed == Stat(0.8, None, 1)


def test_seeds_of_either_stage_make_one_row() -> None:
    firsts = [stage_1(seed=1, mlm=40.0), stage_1(seed=2, mlm=42.0)]
    seconds = [
        stage_2(first, "rte", 60.0 + 2 * number + seed, seed=seed)
        for number, first in enumerate(firsts)
        for seed in (1, 2)
    ]
    dense, ours = stage_rows([*firsts, *seconds])
    assert ours.tasks["rte"].score.mean == 62.5
    assert ours.tasks["rte"].score.n == 4
    assert ours.text_scores["mlm_accuracy"] == Stat(41.0, pytest.approx(2**0.5), 2)
    assert dense.tasks["rte"].score == Stat(70.0, 0.0, 2)
    assert dense.text_scores["mlm_accuracy"].n == 1


def test_one_fine_tuned_model_counts_once_however_many_seeds_were_asked_for() -> None:
    """Fine-tuning follows the predecessor's seed: several `seed`s give the same model, and a spread of 0 would lie."""
    first = stage_1()
    again = stage_2(first, "rte", 63.0).model_copy(update={"seed": 2, "name": "again"})
    _, ours = stage_rows([first, stage_2(first, "rte", 63.0), again])
    assert ours.tasks["rte"].score == Stat(63.0, None, 1)


def test_methods_and_sparsities_are_rows_of_their_own_in_order() -> None:
    firsts = [stage_1(method, sparsity=sparsity) for method in ("rpp", "control", "nip") for sparsity in (0.8, 0.4)]
    rows = stage_rows([*firsts, *(stage_2(first, "rte", 60.0) for first in firsts)])
    asked = [(row.method, row.sparsity) for row in rows]
    assert asked == [("dense", None), *((m, s) for m in ("control", "nip", "rpp") for s in (0.4, 0.8))]


def test_without_the_first_stages_record_its_name_tells_what_it_was() -> None:
    first, patterned = stage_1("nip"), stage_1("magnitude", sparsity=None)
    dense, one, other = stage_rows([stage_2(first, "rte", 63.0), stage_2(patterned, "rte", 60.0)])
    assert (other.model, other.text, other.method, other.sparsity) == ("minilm", "custom_text", "nip", 0.8)
    assert (one.method, one.sparsity) == ("magnitude", None)
    assert dense.text_scores == other.text_scores == {}
    assert "MLM" not in text_of([dense, one, other])


def test_look_alikes_of_the_first_stage_are_not_pooled() -> None:
    """2:4 and 1:4 ask for no sparsity and have one name but for its hash, with or without their records."""
    firsts = [stage_1("magnitude", sparsity=None, pattern=pattern) for pattern in ("1:4", "2:4")]
    seconds = [stage_2(first, "rte", 60.0, zeroed=z) for first, z in zip(firsts, (0.75, 0.5), strict=True)]
    assert [row.differs for row in stage_rows([*firsts, *seconds])[1:]] == [
        ("method.pattern=1:4",),
        ("method.pattern=2:4",),
    ]
    assert [row.differs for row in stage_rows(seconds)[1:]] == [("zeroed=0.5",), ("zeroed=0.75",)]


def test_look_alikes_of_the_second_stage_are_not_pooled_and_have_dense_rows_of_their_own() -> None:
    first = stage_1()
    seconds = [stage_2(first, "rte", 60.0 + rate, learning_rate=rate) for rate in (1, 2)]
    rows = stage_rows([first, *seconds, stage_2(first, "cola", 40.0, learning_rate=3)])
    assert [(row.method, row.differs, list(row.tasks)) for row in rows] == [
        (method, differs, tasks)
        for method in ("dense", "rpp")
        for differs, tasks in (
            ((), ["cola"]),
            (("model.learning_rate=1",), ["rte"]),
            (("model.learning_rate=2",), ["rte"]),
        )
    ]
    assert "(1) model.learning_rate=1" in text_of(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"parents": []},
        {"method": "gain"},
        {"status": "running"},
        {"config": {"model": {"checkpoint": None}}},
        {"config": {"model": {"checkpoint": "/weights"}}},
    ],
)
def test_other_runs_make_no_rows(change: dict[str, Any]) -> None:
    """Among them one that compresses further: what it has of stage 1 cannot be told from what it did itself."""
    first = stage_1()
    assert stage_rows([first, stage_2(first, "rte", 63.0).model_copy(update=change)]) == []


def test_the_table_shows_both_stages_side_by_side() -> None:
    first = stage_1()
    rows = stage_rows([first, stage_2(first, "rte", 63.0), stage_2(first, "cola", 40.0)])
    text = text_of(rows)
    assert "minilm compressed on custom_text" in text
    lines = [line.split() for line in text.splitlines() if line.startswith(("method", "kept %  ", "dense", "rpp"))]
    assert lines == [
        ["method", "sparsity", "zeroed", "MLM", "NSP", "cola", "rte"],
        ["dense", "-", "-", "60.0", "95.0", "50.0", "70.0"],
        ["rpp", "0.8", "0.80", "40.0", "80.0", "40.0", "63.0"],
        ["kept", "%", "sparsity", "cola", "rte"],
        ["dense", "-", "100.0", "100.0"],
        ["rpp", "0.8", "80.0", "90.0"],
    ]


def test_tasks_that_do_not_fit_go_on_below_and_nothing_is_cut() -> None:
    cell = stage_rows([first := stage_1(), *(stage_2(first, "rte", 63.0 + s, seed=s) for s in (1, 2))])[1].tasks["rte"]
    tasks = {f"custom_classification_{number}": cell for number in range(6)}
    row = StageRow(model="m", text="t", method="rpp", distillation="patient", sparsity=0.75, tasks=tasks)
    lines = text_of([row]).splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    for corner in ("method", "kept %  "):
        headers = " ".join(line for line in lines if line.startswith(corner))
        assert all(headers.count(task) == 1 for task in tasks)
    assert sum(line.count(" ± ") for line in lines if line.startswith("rpp")) == 12


def test_the_report_writes_them_beside_the_other_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first = stage_1()
    for record in (first, stage_2(first, "rte", 63.0)):
        (tmp_path / record.name).mkdir()
        write_record(record, tmp_path / record.name)
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"stages: {tmp_path / 'stages.csv'}" in out
    assert "minilm on rte" in out
    dense, ours = csv.DictReader((tmp_path / "stages.csv").open(encoding="utf-8"))
    assert (dense["method"], ours["method"], ours["sparsity"], ours["n:rte"]) == ("dense", "rpp", "0.8", "1")
    assert float(ours["kept:rte_mean"]) == pytest.approx(0.9)
    assert (ours["score:rte_mean"], ours["mlm_accuracy_mean"], ours["zeroed_mean"]) == ("63.0", "40.0", "0.8")
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## minilm compressed on custom\\_text, then fine\\-tuned" in markdown.replace("fine-", "fine\\-")
    assert "| rpp | 0.8 | 0.80 | 40.0 | 80.0 | 63.0 |" in markdown
    assert "| kept % | sparsity | rte |" in markdown
    assert main([str(tmp_path), "--stages", str(tmp_path / "own.csv")]) == 0
    assert (tmp_path / "own.csv").is_file()


def test_without_a_second_stage_there_is_no_such_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first = stage_1()
    (tmp_path / first.name).mkdir()
    write_record(first, tmp_path / first.name)
    assert main([str(tmp_path)]) == 0
    assert "stages" not in capsys.readouterr().out
    assert not (tmp_path / "stages.csv").exists()


def test_lines_have_what_rows_have() -> None:
    (line,) = stage_lines([StageRow(model="m", text="t", method="rpp", removed=Stat(0.5, 0.1, 2))])
    assert (line["removed_mean"], line["removed_std"], line["zeroed_mean"]) == (0.5, 0.1, None)
