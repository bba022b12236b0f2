import csv
import io
import shutil

import pytest

from secateur.record import (
    Cost,
    Latency,
    LatencyPair,
    ModelFigures,
    Percentiles,
    Record,
    Structure,
    write_record,
)
from secateur.report.command import main, write_csv
from secateur.report.rows import group


def make_record(*, seed=1, method="l0", f1=72.0, **changes):
    pairs = [
        LatencyPair(
            batch_size=8,
            length=length,
            dtype="float32",
            reference=Percentiles(p50=100, p90=110),
            compressed=Percentiles(p50=50, p90=60),
            repeats=20,
        )
        for length in (128, 384)
    ]
    known = {
        "status": "finished",
        "name": f"{method}-seed{seed}",
        "method": method,
        "model": "tiny",
        "dataset": "squad",
        "distillation": "none",
        "sparsity": 0.5,
        "seed": seed,
        "predecessor_seed": 1,
        "metric": "f1",
        "config": {"seed": seed},
        "fingerprint": "abc",
        "reference": ModelFigures(folder="dense", scores={"f1": 80.0, "exact": 70.0}),
        "compressed": ModelFigures(
            folder="model",
            scores={"f1": f1, "exact": 60.0},
            cost=Cost(parameters=1000, encoder_parameters=500, disk_bytes=4000),
            structure=Structure(removed=0.5),
        ),
        "latency": Latency(device="cpu", threads=1, beside_others=False, pairs=pairs),
    }
    return Record(**(known | changes))


@pytest.fixture
def no_picture(monkeypatch):
    """Drawing takes most of a report's time; two tests look at the real thing."""
    for picture in ("frontier", "sparsity"):
        monkeypatch.setattr(f"secateur.report.{picture}.draw", lambda rows, path: False)


def put(folder, *records):
    for record in records:
        run = folder / record.name
        run.mkdir(parents=True)
        write_record(record, run)
    return folder


def csv_lines(rows):
    file = io.StringIO()
    write_csv(rows, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_a_sweep_gives_table_csv_and_pictures_beside_it(tmp_path, capsys):
    sweep = put(tmp_path / "sweep", make_record(seed=1, f1=71.0), make_record(seed=2, f1=73.0))
    assert main([str(sweep)]) == 0
    out, err = capsys.readouterr()
    assert "72.0 ± 1.4" in out and err == ""
    for file in ("report.csv", "frontier.png", "sparsity.png"):
        assert str(sweep / file) in out and (sweep / file).stat().st_size > 0
    dense, ours = csv.DictReader((sweep / "report.csv").open(encoding="utf-8"))
    assert (dense["method"], ours["method"], ours["n"]) == ("dense", "l0", "2")


def test_files_are_written_where_asked(tmp_path):
    sweep = put(tmp_path / "sweep", make_record())
    table, *pictures = (tmp_path / name for name in ("t.csv", "f.png", "s.png"))
    frontier, sparsity = map(str, pictures)
    assert main([str(sweep), "--csv", str(table), "--frontier", frontier, "--sparsity", sparsity]) == 0
    assert table.exists() and all(picture.exists() for picture in pictures)
    assert not list(sweep.glob("*.csv")) and not list(sweep.glob("*.png"))


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
    ):
        (sweep / name).mkdir()
        (sweep / name / "record.json").write_bytes(content)
    assert main([str(sweep)]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 3
    for name in ("cut", "binary", "new"):
        assert sum(str(sweep / name / "record.json") in line for line in warnings) == 1


@pytest.mark.usefixtures("no_picture")
def test_unfinished_runs_are_listed_below_the_table(tmp_path, capsys):
    traceback = 'Traceback (most recent call last):\n  File "x.py"\nRuntimeError: [red]out of memory'
    failed = make_record(seed=2, status="failed", error=traceback)
    sweep = put(tmp_path / "sweep", make_record(), failed, make_record(seed=3, status="running"))
    assert main([str(sweep)]) == 0
    below = capsys.readouterr().out.split("not in the table:")[1]
    assert "failed   l0-seed2: RuntimeError: [red]out of memory\n" in below
    assert "running  l0-seed3\n" in below


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
        f"secateur-report: {missing}: cannot be written (No such file or directory); name another file"
    ]


def test_csv_has_all_scores_and_all_latency_settings_as_numbers():
    ours = csv_lines(group([make_record(seed=1, f1=71.0), make_record(seed=2, f1=73.0)]))[1]
    assert float(ours["score_mean"]) == 72.0 and float(ours["score_std"]) == pytest.approx(2**0.5)
    assert float(ours["score:exact_mean"]) == 60.0
    assert float(ours["retention_mean"]) == pytest.approx(0.9)
    assert float(ours["parameters_mean"]) == 1000 and float(ours["disk_bytes_mean"]) == 4000
    for length in (128, 384):
        assert float(ours[f"speedup:float32_batch8_length{length}_mean"]) == 2.0
        assert float(ours[f"p90_ms:float32_batch8_length{length}_mean"]) == 60.0
    assert ours["speedup_setting"] == "float32, 8 x 384 tokens"


def test_csv_has_onnx_runtime_in_columns_of_its_own():
    record = make_record()
    faster = {"runtime": "onnxruntime", "compressed": Percentiles(p50=25, p90=30)}
    record.latency.pairs += [pair.model_copy(update=faster) for pair in record.latency.pairs]
    ours = csv_lines(group([record]))[1]
    assert float(ours["p50_ms:float32_batch8_length384_mean"]) == 50.0
    assert float(ours["p50_ms:onnxruntime_float32_batch8_length384_mean"]) == 25.0
    assert float(ours["speedup:onnxruntime_float32_batch8_length384_mean"]) == 4.0


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_text_never_becomes_a_formula_but_negative_numbers_stay_numbers(start):
    record = make_record(method=f"{start}HYPERLINK(1)")
    record.compressed.scores = {"f1": -0.25, f"{start}1": 1.0}
    lines = csv_lines(group([record]))
    ours = next(line for line in lines if line["method"] != "dense")
    assert ours["method"] == f"'{start}HYPERLINK(1)"
    assert ours["score_mean"] == "-0.25"
    assert not any(name.startswith(start) for name in ours)


def test_help_names_the_files_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert (
        all(f"{file} in the first" in text for file in ("report.csv", "frontier.png", "sparsity.png"))
        and "Exit code" in text
    )
