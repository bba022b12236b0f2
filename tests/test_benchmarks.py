"""Benchmarks keep what they have measured, and say whether they reach their aims."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


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
