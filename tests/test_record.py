"""A record is read back as it was written, or refused in one line; no reader ever sees a partial one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from secateur.errors import SecateurError
from secateur.record import (
    Cost,
    Latency,
    LatencyPair,
    ModelFigures,
    OnnxExport,
    Percentiles,
    Record,
    StepRecord,
    Structure,
    find_records,
    read_record,
    write_record,
)


def make(**changes: Any) -> Record:
    """A finished run with something in every part."""
    settings: dict[str, Any] = {
        "status": "finished",
        "name": "gain-tiny-toy_qa-s0.5-seed1-abc",
        "method": "gain",
        "model": "tiny",
        "dataset": "toy_qa",
        "distillation": "none",
        "sparsity": 0.5,
        "seed": 1,
        "predecessor_seed": 1,
        "metric": "f1",
        "config": {"sparsity": 0.5, "method": {"order": ["score"]}},
        "fingerprint": "0123456789abcdef",
        "versions": {"torch": "2.13"},
        "machine": {"threads": 1, "accelerator": None},
        "reference": ModelFigures(folder="../store/dense/model", scores={"em": 60.0, "f1": 80.0}),
        "compressed": ModelFigures(
            folder="model",
            scores={"em": 40.0, "f1": 60.0},
            cost=Cost(parameters=10, encoder_parameters=8, flops={128: 5, 384: 15}, peak_memory_bytes={128: 7}),
            structure=Structure(removed=0.5, heads_removed=0.5, heads=[2, 0], units=[4, 3]),
        ),
        "latency": Latency(device="cpu", threads=1, beside_others=False, pairs=[pair(), onnx_pair()]),
        "onnx": OnnxExport(folder="onnx", disk_bytes=12, largest_difference=3e-7),
        "steps": [StepRecord(name="score", seconds=1.5, examples=100, details={"note": "é"})],
        "seconds": 12.25,
    }
    return Record(**{**settings, **changes})


def pair(*, reference: float = 30.0, compressed: float = 12.0) -> LatencyPair:
    """One timing, whose tails tell another story than its medians."""
    return LatencyPair(
        batch_size=1,
        length=128,
        dtype="float32",
        reference=Percentiles(p50=reference, p90=100.0),
        compressed=Percentiles(p50=compressed, p90=99.0),
        repeats=5,
    )


def onnx_pair() -> LatencyPair:
    return pair().model_copy(update={"runtime": "onnxruntime"})


def test_records_from_before_there_were_runtimes_were_timed_in_pytorch(tmp_path):
    path = write_record(make(), tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    del stored["onnx"], stored["latency"]["pairs"][0]["runtime"]
    path.write_text(json.dumps(stored), encoding="utf-8")
    read = read_record(path)
    assert read.onnx is None
    assert read.latency is not None
    assert read.latency.pairs[0] == pair()


def test_reads_back_what_was_written_by_file_or_folder(tmp_path):
    record = make()
    path = write_record(record, tmp_path)
    assert path == tmp_path / "record.json"
    assert read_record(path) == record == read_record(tmp_path)


def test_the_file_calls_its_version_schema(tmp_path):
    """DESIGN's name; a field of that name would hide one of pydantic's own, so it has an alias."""
    stored = json.loads(write_record(make(), tmp_path).read_text(encoding="utf-8"))
    assert stored["schema"] == 1
    assert "schema_version" not in stored


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (("schema",), 2, "it was written under schema 2; "),
        (("schema",), {"a" * 99: 1}, r"it was written under schema \{.{39}; "),
        (("grade",), "A", "grade: Extra inputs"),
        (("compressed", "cost", "carbon"), 1, r"compressed\.cost\.carbon: Extra inputs"),
        (("status",), "paused", "status: Input should be"),
        (("seed",), "one", "seed: Input should be a valid integer"),
    ],
)
def test_refuses_what_it_does_not_know_in_one_line(tmp_path, place, value, complaint):
    path = write_record(make(), tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    node = stored
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(SecateurError, match=rf"^{re.escape(str(path))}: not a record of schema 1: {complaint}[^\n]*$"):
        read_record(path)


def test_a_key_that_the_schema_lacks_cannot_be_recorded():
    with pytest.raises(ValidationError, match="Extra inputs"):
        make(score=1.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00record", b'{"schema": 1}'],
    ids=["empty", "cut", "list", "null", "bytes", "bare"],
)
def test_refuses_damaged_files_in_one_line(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(SecateurError, match=rf"^{re.escape(str(path))}: not a record of schema 1: [^\n]+$"):
        read_record(tmp_path)


def test_a_file_cut_short_is_damaged(tmp_path):
    """As a copy that ran out of space leaves it."""
    path = write_record(make(), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SecateurError, match=r"not a record of schema 1: the file: Invalid JSON[^\n]*$"):
        read_record(path)


def test_tells_where_there_is_none(tmp_path):
    with pytest.raises(SecateurError, match=rf"^{re.escape(str(tmp_path))}/record\.json: no record can be read there"):
        read_record(tmp_path)


def test_writing_leaves_one_whole_file(tmp_path, monkeypatch):
    """Also over an earlier one, which stays as it was if writing fails."""
    write_record(make(status="running"), tmp_path)
    write_record(make(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]

    def full(_self: Path, text: str, **_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_record(make(status="failed"), tmp_path)
    assert read_record(tmp_path).status == "finished"


def test_finds_records_below_a_folder_in_order_and_no_half_written_ones(tmp_path):
    for name in ("b/run", "a", "c"):
        (tmp_path / name).mkdir(parents=True)
        write_record(make(), tmp_path / name)
    (tmp_path / "a" / "record.json.partial").write_text("{", encoding="utf-8")
    assert find_records(tmp_path) == [tmp_path / name / "record.json" for name in ("a", "b/run", "c")]
    assert find_records(tmp_path / "nowhere") == []


def test_a_score_that_is_no_number_comes_back_as_such(tmp_path):
    """JSON has no word for it; a record that was written must be readable all the same."""
    record = make(reference=ModelFigures(folder="model", scores={"f1": float("nan")}))
    read = read_record(write_record(record, tmp_path))
    assert read.reference is not None
    assert read.reference.scores["f1"] != read.reference.scores["f1"]


@pytest.mark.parametrize(
    ("changes", "retention"),
    [
        ({}, 0.75),
        ({"metric": "em"}, 40 / 60),
        ({"metric": "accuracy"}, None),
        ({"reference": None}, None),
        ({"compressed": None}, None),
        ({"reference": ModelFigures(folder="model", scores={"f1": 0.0})}, None),
        ({"compressed": ModelFigures(folder="model", scores={"f1": 0.0})}, 0.0),
    ],
)
def test_retention_is_on_the_task_s_own_metric(changes, retention):
    """A reference that scores nothing leaves nothing to retain; a compressed model that does retains 0."""
    assert make(**changes).retention == retention


def test_speedup_compares_medians():
    assert pair(reference=30.0, compressed=12.0).speedup == 2.5
