"""Benchmarks keep what they have measured, and say whether they reach their aims."""

import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from secateur.cost import count_flops
from secateur.methods.ranking import Matrices
from tests.architectures import random_model
from tests.small_runs import run

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    sys.modules.pop("benchmarking", None)


@pytest.mark.parametrize(
    ("value", "aim", "better", "reached"),
    [(3.0, 3.0, "higher", True), (2.9, 3.0, "higher", False), (9.0, 10.0, "lower", True), (1.0, None, "higher", None)],
)
def test_an_aim_is_reached_from_the_better_side(value, aim, better, reached) -> None:
    from benchmarking import Figure

    assert Figure(name="x", value=value, unit="s", aim=aim, better=better).reached is reached


def test_the_record_is_whole_after_every_measurement(tmp_path) -> None:
    """A benchmark that is killed leaves what it had."""
    from benchmarking import Benchmark, BenchmarkRecord, Figure

    output = tmp_path / "new" / "x.json"
    benchmark = Benchmark("x", setting={"seed": 1}, output=output)
    benchmark.add(round=0, seconds=1.5)
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert (kept.status, kept.measurements) == ("running", [{"round": 0, "seconds": 1.5}])
    assert kept.versions["torch"]
    assert kept.machine["threads"] >= 1
    benchmark.finish([Figure(name="x", value=1.5, unit="s")])
    assert BenchmarkRecord.model_validate_json(output.read_bytes()).status == "finished"
    assert [path.name for path in output.parent.iterdir()] == ["x.json"]


def test_what_is_missing_is_said(tmp_path) -> None:
    from benchmarking import Benchmark, BenchmarkRecord, missing

    reason = missing(tmp_path, tmp_path / "absent")
    assert reason == f"{tmp_path / 'absent'}: not there"
    Benchmark("x", setting={}, output=tmp_path / "x.json").skip(reason)
    kept = BenchmarkRecord.model_validate_json((tmp_path / "x.json").read_bytes())
    assert (kept.status, kept.reason) == ("skipped", reason)


@pytest.mark.parametrize("name", ["gates", "rpp", "theseus"])
def test_benchmarks_of_steps_run_to_their_figures(name: str, tmp_path: Path) -> None:
    """They call what phases are made of, and nothing else would notice that its arguments have changed."""
    from benchmarking import BenchmarkRecord

    small = ["--turns=1", "--length=8", "--batch-size=2", "--threads=1", f"--checkpoint={tmp_path / 'none'}"]
    output = tmp_path / "record.json"
    command = [sys.executable, SCRIPTS / f"bench_{name}", *small, f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert kept.status == "finished"
    assert all(figure.value > 0 for figure in kept.figures)


@pytest.mark.parametrize(
    ("name", "small"),
    [
        (
            "deformer",
            "--layers=3 --hidden=64 --lower-layers=2 --sweep 1 --documents 9 --batches 1 2 --turns=1 --threads=1",
        ),
        ("store", "--documents=40 --text=none --threads=1"),
        ("pages", "--pages=300 --paragraphs=2 --processes=1 --kill-after 0.4"),
    ],
)
def test_benchmarks_of_kept_documents_and_pages_run_to_their_figures(name: str, small: str, tmp_path: Path) -> None:
    from benchmarking import BenchmarkRecord

    output = tmp_path / "record.json"
    command = [sys.executable, SCRIPTS / f"bench_{name}", *small.split(), f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert (kept.status, kept.benchmark) == ("finished", name)
    assert kept.measurements


def test_both_models_of_a_run_answer_its_test_rows_in_turn(tmp_path: Path) -> None:
    from benchmarking import BenchmarkRecord

    small = ("dataset.generator.train=40", "dataset.generator.test=16", "model.epochs=1")
    record, folder = run("method=random", "sparsity=0.5", *small, output=tmp_path)
    output = tmp_path / "record.json"
    command = [sys.executable, SCRIPTS / "bench_answering", folder, "--rows=9", "--turns=2", f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert kept.setting["run"] == record.name
    assert [measurement.get("model") for measurement in kept.measurements] == [None, *["dense", "random"] * 2]
    assert kept.measurements[0]["rows"] == 9
    names = ["windows of a row", "dense, throughput", "random, throughput", "shrunk"]
    assert [figure.name for figure in kept.figures] == names


def test_the_report_of_made_up_records_is_measured(tmp_path: Path) -> None:
    """Where no browser is found, what the terminal takes is measured all the same."""
    from benchmarking import BenchmarkRecord

    output = tmp_path / "record.json"
    command = [sys.executable, SCRIPTS / "bench_report", "--records=12", "--repeats=1", f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "the page is not measured: chromium, chromedriver: not installed" in done.stdout
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert {figure.name for figure in kept.figures} == {"terminal written", "page written", "page"}
    assert all(figure.value > 0 for figure in kept.figures)


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module."""
    path = str(SCRIPTS / name)
    loader = SourceFileLoader(name, path)
    module = module_from_spec(spec_from_file_location(name, path, loader=loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    return module


def test_what_flops_promise_of_a_deformer_is_what_is_counted(monkeypatch, tmp_path) -> None:
    """The aims are shares of it."""
    bench = loaded("bench_deformer", monkeypatch)
    arguments = bench.parsed(["--layers", "3", "--hidden", "64", "--question", "9"])
    shape = {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 256}
    dense = random_model("bert", vocab_size=30522, max_position_embeddings=64, **shape)
    contest = bench.Contest(dense, arguments, k=2, document=23, batch=2, folder=tmp_path / "store")
    counted = count_flops(dense, length=33) / count_flops(contest.model, length=33, cached=True)
    assert contest.promised() == pytest.approx(counted, rel=0.01)


@pytest.fixture
def bench_sparse(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a machine without a GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    return loaded("bench_sparse", monkeypatch)


def test_sparse_kernels_are_skipped_with_a_reason_where_there_is_no_gpu(bench_sparse: ModuleType, tmp_path) -> None:
    from benchmarking import BenchmarkRecord

    output = tmp_path / "sparse.json"
    bench_sparse.main(bench_sparse.parsed(["--output", str(output)]))
    kept = BenchmarkRecord.model_validate_json(output.read_bytes())
    assert (kept.status, kept.reason) == ("skipped", "no CUDA device: 2:4 zeros gain speed on NVIDIA GPUs alone")


def test_what_sparse_kernels_run_on_is_sparse_as_they_take_it(bench_sparse: ModuleType) -> None:
    """Two of every four inputs of a row, in all matrices: dense ones among them would hide the gain."""
    model = bench_sparse.pruned("minilm")
    weights = Matrices(model).weights[0]
    assert len(weights) == 36
    for weight in weights:
        assert (weight.view(-1, 4).count_nonzero(dim=1) == 2).all()


def test_every_matrix_is_stored_sparse_and_nothing_else(
    bench_sparse: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = []
    monkeypatch.setattr("torch.sparse.to_sparse_semi_structured", lambda weight: packed.append(weight) or weight)
    model = bench_sparse.pruned("minilm")
    expected = {weight.data_ptr() for weight in Matrices(model).weights[0]}
    bench_sparse.stored_sparse(model)
    assert {weight.data_ptr() for weight in packed} == expected
    assert len(packed) == len(expected) == 36
