"""The CSV has all figures, as numbers, and is safe to open in a spreadsheet."""

import csv
import io

import pytest

from secateur.record import Percentiles
from secateur.report.lines import row_lines
from secateur.report.rows import group
from secateur.report.sheet import write_lines
from secateur.report.table import caption
from tests.records import make_record


def csv_lines(rows):
    file = io.StringIO()
    write_lines(row_lines(rows), file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


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


def test_csv_says_on_which_frontiers_a_row_is():
    records = [make_record(method="good", f1=75.0), make_record(method="bad", f1=70.0)]
    best = {line["method"]: line["frontier"] for line in csv_lines(group(records))}
    assert "speed" in best["good"] and best["bad"] == ""


def test_a_decomposed_model_is_as_fast_as_it_is_served_and_says_so():
    """Its speed comes from documents that are kept: 100 ms dense, 50 read anew, 25 with the states at hand."""
    record = make_record(method="deformer")
    for pair in record.latency.pairs:
        pair.cached = Percentiles(p50=25, p90=30)
    record.compressed.cost.flops, record.compressed.cost.cached_flops = {128: 100}, {128: 30}
    dense, ours = csv_lines(group([record]))
    assert (float(ours["speedup_mean"]), float(ours["flops_mean"])) == (4.0, 30)
    assert float(ours["p50_ms:float32_batch8_length384_mean"]) == 25
    assert (dense["documents_kept"], ours["documents_kept"]) == ("False", "True")
    assert "deformer: times and FLOPs with the documents' states kept" in caption(group([record]))
