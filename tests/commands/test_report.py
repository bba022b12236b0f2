"""The command writes tables, pictures and the page, lists what is unfinished, and reports mistakes in one line."""

import csv
import shutil

import pytest

from secateur.commands.report import main
from tests.records import make_record, put


@pytest.fixture
def no_picture(monkeypatch):
    """Drawing takes most of a report's time; two tests look at the real thing."""
    for picture in ("frontier", "sparsity"):
        monkeypatch.setattr(f"secateur.report.{picture}.draw", lambda rows, path: False)
    monkeypatch.setattr("secateur.commands.report.save_page", lambda *rows, **options: None)


def test_a_sweep_gives_table_csv_and_pictures_beside_it(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record(seed=1, f1=71.0), make_record(seed=2, f1=73.0))
    assert main([str(sweep)]) == 0
    out, err = capsys.readouterr()
    assert "72.0 ± 1.4" in out and err == ""
    for file in ("report.csv", "report.md", "report.html", "frontier.png", "sparsity.png"):
        assert str(sweep / file) in out and (sweep / file).stat().st_size > 0
    dense, ours = csv.DictReader((sweep / "report.csv").open(encoding="utf-8"))
    assert (dense["method"], ours["method"], ours["n"]) == ("dense", "l0", "2")


def test_files_are_written_where_asked(tmp_path):
    sweep = put(tmp_path / "sweep", make_record())
    files = {name: tmp_path / name for name in ("csv", "markdown", "html", "frontier", "sparsity")}
    assert main([str(sweep), *(word for name, file in files.items() for word in (f"--{name}", str(file)))]) == 0
    assert all(file.stat().st_size > 0 for file in files.values())
    assert [path.name for path in sweep.iterdir()] == ["l0-seed1"]


def test_a_picture_with_nothing_to_show_is_not_drawn_and_that_is_said(tmp_path, capsys):
    untimed = make_record(latency=None)
    untimed.compressed.structure.removed = 0.0
    sweep = put(tmp_path / "sweep", untimed)
    assert main([str(sweep)]) == 0
    out = capsys.readouterr().out
    assert "frontier: not drawn, " in out and "sparsity: not drawn, " in out
    assert not list(sweep.glob("*.png"))


@pytest.mark.usefixtures("no_picture")
def test_damaged_and_foreign_records_cost_one_warning_line_each(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record())
    for name, content in (
        ("cut", b'{"schema": 1, "sta'),
        ("binary", b"\xff\xfe\x00"),
        ("new", b'{"schema": 2}'),
        ("old", b'{"schema": 0, "status": "finished"}'),
        ("unversioned", b'{"status": "finished"}'),
    ):
        (sweep / name).mkdir()
        (sweep / name / "record.json").write_bytes(content)
    assert main([str(sweep)]) == 0
    out, err = capsys.readouterr()
    warnings = err.splitlines()
    assert out.count("unreadable ") == 5
    assert any("not a record of schema 1: it was written under schema 0; " in line for line in warnings)
    assert len(warnings) == 5
    for name in ("cut", "binary", "new", "old", "unversioned"):
        assert sum(str(sweep / name / "record.json") in line for line in warnings) == 1


@pytest.mark.usefixtures("no_picture")
def test_unfinished_runs_are_listed_below_the_table(tmp_path, capsys):
    traceback = 'Traceback (most recent call last):\n  File "x.py"\nRuntimeError: [red]out of memory'
    failed = make_record(seed=2, status="failed", error=traceback)
    sweep = put(tmp_path / "sweep", make_record(), failed, make_record(seed=3, status="running"))
    assert main([str(sweep)]) == 0
    below = capsys.readouterr().out.split("not in the table:")[1]
    assert "failed     l0-seed2: RuntimeError: [red]out of memory\n" in below
    assert "running    l0-seed3\n" in below


@pytest.mark.usefixtures("no_picture")
def test_many_failures_are_counted_in_the_terminal_and_listed_in_the_markdown(tmp_path, capsys):
    failed = [make_record(seed=seed, status="failed", error="no space") for seed in range(2, 32)]
    sweep = put(tmp_path / "sweep", make_record(), *failed)
    assert main([str(sweep)]) == 0
    assert "failed     and 10 more" in capsys.readouterr().out
    assert (sweep / "report.md").read_text(encoding="utf-8").count("| failed |") == 30


def test_without_a_finished_run_nothing_is_written(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record(status="failed", error="sparsity=1.5: must be below 1"))
    assert main([str(sweep)]) == 0
    assert "sparsity=1.5: must be below 1" in capsys.readouterr().out
    assert not (sweep / "report.csv").exists()


@pytest.mark.usefixtures("no_picture")
def test_overlapping_roots_and_copies_count_a_run_once(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record(seed=1), make_record(seed=2))
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    assert main([str(sweep), str(sweep / "l0-seed1"), str(tmp_path)]) == 0
    ours = list(csv.DictReader((sweep / "report.csv").open(encoding="utf-8")))[1]
    assert ours["n"] == "2"
    (warning,) = capsys.readouterr().err.splitlines()
    assert "counted once (and 1 more such)" in warning


@pytest.mark.usefixtures("no_picture")
def test_a_finished_run_comes_before_its_failed_namesake(tmp_path, capsys):
    put(tmp_path / "a", make_record(status="failed", error="killed"))
    put(tmp_path / "b", make_record())
    assert main([str(tmp_path)]) == 0
    assert "not in the table" not in capsys.readouterr().out


@pytest.mark.parametrize("present", [True, False], ids=["empty folder", "no folder"])
def test_no_record_at_all_is_one_line_and_exit_code_1(tmp_path, capsys, present):
    folder = tmp_path / "runs"
    if present:
        folder.mkdir()
    assert main([str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and str(folder) in err


def test_a_place_that_cannot_be_written_is_one_line_and_exit_code_1(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record())
    missing = tmp_path / "missing" / "t.csv"
    assert main([str(sweep), "--csv", str(missing)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"secateur-report: {missing}: cannot be written (No such file or directory); choose another file"
    ]


def test_help_names_the_files_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert (
        all(f"{file} in the first" in text for file in ("report.csv", "report.md", "report.html", "frontier.png"))
        and "Exit code" in text
    )
