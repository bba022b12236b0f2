"""Runs that differ only in their seed form one row, and the table for a terminal shows their figures."""

import io
import math

import pytest
from rich.console import Console

from secateur.record import Cost, Latency, LatencyPair, ModelFigures, Percentiles, Record, Structure
from secateur.report.rows import Setting, Stat, differences, group
from secateur.report.table import caption, render


def make_record(*, method="l0", sparsity=0.5, seed=1, f1=72.0, milliseconds=50.0, config=None, **changes):
    figures = {"f1": f1, "exact": f1 - 3}
    timed = {"batch_size": 8, "repeats": 20, "reference": Percentiles(p50=100, p90=110)}
    fast = Percentiles(p50=milliseconds, p90=milliseconds * 1.2)
    pairs = [
        LatencyPair(**timed, length=length, dtype=dtype, compressed=fast)
        for length in (128, 384)
        for dtype in ("float32", "bfloat16")
    ]
    known = {
        "status": "finished",
        "name": f"{method}-{sparsity}-{seed}",
        "method": method,
        "model": "bert_base",
        "dataset": "squad_v2",
        "distillation": "none",
        "sparsity": sparsity,
        "seed": seed,
        "predecessor_seed": 1,
        "metric": "f1",
        "config": {"seed": seed, "paths": {"run": f"/runs/{seed}"}, **(config or {})},
        "fingerprint": "abc",
        "reference": ModelFigures(
            folder="/store/one/model",
            scores={"f1": 80.0, "exact": 77.0},
            cost=Cost(parameters=110_000_000, encoder_parameters=85_000_000, flops={128: 10**10, 384: 3 * 10**10}),
        ),
        "compressed": ModelFigures(
            folder="model",
            scores=figures,
            cost=Cost(parameters=66_400_000, encoder_parameters=42_000_000, flops={128: 5 * 10**9, 384: 15 * 10**9}),
            structure=Structure(removed=0.5),
        ),
        "latency": Latency(device="cpu", threads=2, beside_others=False, pairs=pairs),
    }
    return Record(**(known | changes))


def compressed(records):
    return [row for row in group(records) if not row.dense]


def text_of(records, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(render(records))
    return console.file.getvalue()


def test_seeds_make_one_row_with_mean_and_sample_standard_deviation():
    (row,) = compressed([make_record(seed=seed, f1=f1) for seed, f1 in ((1, 70.0), (2, 72.0), (3, 74.0))])
    assert row.n == 3
    assert row.score == Stat(72.0, 2.0, 3)
    assert row.scores["exact"] == Stat(69.0, 2.0, 3)
    assert row.figures["retention"].mean == pytest.approx(0.9)
    assert row.figures["removed"] == Stat(0.5, 0.0, 3)


def test_one_run_has_no_spread():
    (row,) = compressed([make_record()])
    assert row.score == Stat(72.0, None, 1)


@pytest.mark.parametrize("key", ["paths", "logger", "callbacks", "hydra", "sweep"])
def test_where_a_run_was_kept_or_logged_does_not_split_a_row(key):
    records = [make_record(seed=seed, config={key: {"value": seed}}) for seed in (1, 2)]
    assert [row.n for row in compressed(records)] == [2]


@pytest.mark.parametrize("change", ["method", "model", "dataset", "distillation", "sparsity", "fingerprint"])
def test_what_was_asked_for_and_the_data_split_rows(change):
    other = make_record(seed=2, **{change: 0.7 if change == "sparsity" else "other"})
    assert [row.n for row in compressed([make_record(), other])] == [1, 1]


def test_rows_that_differ_in_a_deep_setting_say_in_which():
    def config(epochs):
        return {"method": {"steps": {"gate": {"epochs": 1}, "recover": {"epochs": epochs, "rate": 3e-5}}}}

    records = [make_record(seed=seed, config=config(epochs)) for epochs in (1, 3) for seed in (1, 2)]
    rows = compressed(records)
    assert [row.differs for row in rows] == [
        ("method.steps.recover.epochs=1",),
        ("method.steps.recover.epochs=3",),
    ]
    assert "(1) method.steps.recover.epochs=1" in text_of(records)


def test_a_missing_mapping_is_named_once_and_not_leaf_by_leaf():
    whole, bare = differences([{"steps": {"recover": {"epochs": 1, "rate": 2}}}, {"steps": {}}])
    assert whole == ()
    assert bare == ("steps.recover=absent",)


def test_differences_tell_numbers_apart_that_compare_equal():
    """1 and 1.0 make different configs, hence different rows: both must get a label."""
    assert differences([{"epochs": 1}, {"epochs": 1.0}, {"epochs": None}]) == [
        ("epochs=1",),
        ("epochs=1.0",),
        ("epochs=null",),
    ]


def test_a_predecessor_that_follows_the_seed_widens_the_spread():
    (row,) = compressed([make_record(seed=seed, predecessor_seed=seed, f1=70.0 + seed) for seed in (1, 2, 3)])
    assert (row.n, row.predecessor_seed) == (3, None)


def test_another_predecessor_seed_is_another_row():
    records = [make_record(seed=seed, predecessor_seed=other) for other in (1, 2) for seed in (1, 2)]
    assert [(row.n, row.differs) for row in compressed(records)] == [
        (2, ("predecessor.seed=1",)),
        (2, ("predecessor.seed=2",)),
    ]


def test_each_reference_is_one_row_of_a_hundred_percent():
    second = make_record(seed=3, reference=ModelFigures(folder="/store/two/model", scores={"f1": 81.0}))
    dense = [row for row in group([make_record(seed=1), make_record(seed=2), second]) if row.dense]
    assert [row.score for row in dense] == [Stat(80.0, None, 1), Stat(81.0, None, 1)]
    assert all(row.figures["retention"].mean == 1 and row.n == 1 for row in dense)
    assert dense[0].speedup == Stat(1.0, None, 1)
    assert dense[0].figures["parameters"].mean == 110_000_000


def test_the_headline_speed_is_float32_at_the_largest_setting_measured():
    (row,) = compressed([make_record()])
    assert row.headline == Setting("float32", 8, 384)
    assert row.speedup.mean == 2.0
    assert len(row.timings) == 4


def in_onnx(record, *, faster):
    """The float32 timings again, the compressed model so many times as fast, the reference at half its time."""
    return [
        pair.model_copy(
            update={
                "runtime": "onnxruntime",
                "reference": Percentiles(p50=pair.reference.p50 / 2, p90=pair.reference.p90),
                "compressed": Percentiles(p50=pair.compressed.p50 / 2 / faster, p90=pair.compressed.p90),
            }
        )
        for pair in record.latency.pairs
        if pair.dtype == "float32"
    ]


def test_onnx_runtime_is_told_apart_from_pytorch():
    """Its speed-up is against the reference in ONNX Runtime, and never the headline."""
    record = make_record()
    assert "ONNX" not in text_of([record])
    record.latency.pairs += in_onnx(record, faster=2)
    (row,) = compressed([record])
    assert row.headline == Setting("float32", 8, 384, "pytorch")
    assert (row.speedup.mean, row.onnx.speedup.mean) == (2.0, 4.0)
    assert [str(setting) for setting in row.timings][-2:] == [
        "ONNX Runtime, float32, 8 x 128 tokens",
        "ONNX Runtime, float32, 8 x 384 tokens",
    ]
    text = text_of([record])
    lines = [line.split() for line in text.splitlines() if line.startswith(("dense", "l0"))]
    assert [line[-1] for line in lines[:2]] == ["1.00", "2.00"]
    assert [line[-3:] for line in lines[2:]] == [["100.0", "50.0", "1.00"], ["50.0", "12.5", "4.00"]]
    assert "both models in ONNX Runtime" in text


def test_flops_are_those_of_the_longest_length_that_all_runs_measured():
    short = make_record(seed=2)
    short.compressed.cost.flops = {128: 7 * 10**9}
    (row,) = compressed([make_record(), short])
    assert (row.flops_length, row.figures["flops"].mean) == (128, 6 * 10**9)


def test_a_single_input_on_a_gpu_is_told_to_gain_little():
    """Its time is that of starting kernels, which a smaller model has as many of."""
    record = make_record()
    for pair in record.latency.pairs:
        pair.batch_size = 1
    told = "batch 1 on a GPU: kernel launches take most of the time, so smaller models gain little there"
    assert told not in caption(group([record]))
    record.latency.device = "cuda:0 (NVIDIA H100)"
    assert told in caption(group([record]))


def test_only_finished_runs_are_counted():
    assert group([make_record(status="failed"), make_record(seed=2, status="running")]) == []


def test_a_record_without_figures_or_with_a_stopped_clock_still_makes_a_row():
    bare = make_record(reference=None, compressed=None, latency=None)
    (row,) = group([bare])
    assert row.score is None and row.speedup is None
    assert "l0" in text_of([bare])
    assert group([make_record(milliseconds=0.0)])[0].speedup is None


def test_order_is_dense_then_method_then_sparsity():
    records = [make_record(method=m, sparsity=s) for m in ("random", "l0") for s in (0.7, 0.3)]
    records.append(make_record(method="control", sparsity=None))
    assert [(row.method, row.sparsity) for row in group(records)] == [
        ("dense", None),
        ("control", None),
        ("l0", 0.3),
        ("l0", 0.7),
        ("random", 0.3),
        ("random", 0.7),
    ]


def test_the_table_of_one_run_shows_it_next_to_its_reference():
    text = text_of([make_record()])
    dense, ours = (line.split() for line in text.splitlines() if line.startswith(("dense", "l0")))
    assert dense == ["dense", "-", "1", "80.0", "100.0", "0.00", "110M", "30.0G", "-", "1.00"]
    assert ours == ["l0", "0.5", "1", "72.0", "90.0", "0.50", "66.4M", "15.0G", "-", "2.00"]
    assert "float32, 8 x 384 tokens" in text and "threads: 2" in text


def test_the_widest_table_keeps_every_figure_whole_at_100_columns():
    settings = {"metric": "matthews", "distillation": "logits"}
    records = []
    for seed, score in ((1, -0.512), (2, -0.587)):
        record = make_record(method="theseus", sparsity=0.35, seed=seed, milliseconds=4.0 + seed, **settings)
        record.compressed.scores = {"matthews": score}
        record.reference.scores = {"matthews": -0.5}
        record.compressed.structure = Structure(removed=0.25, zeroed=0.5)
        records.append(record)
        record.latency.pairs += in_onnx(record, faster=2)
    text = text_of(records)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    for figure in ("-0.549 ± 0.053", "109.9 ± 10.6", "18.33 ± 2.36", "36.67"):
        assert figure in text


def test_zeros_stand_side_by_side_with_what_they_save_and_without_a_speed():
    record = make_record(method="rpp", sparsity=0.8)
    record.compressed.structure = Structure(zeroed=0.8, zeroed_total=0.3761)
    record.compressed.cost.disk_bytes, record.compressed.cost.sparse_bytes = 440_000_000, 211_000_000
    text = text_of([record])
    (line,) = (line.split() for line in text.splitlines() if line.startswith("rpp") and "0.376" in line)
    assert line == ["rpp", "0.8", "1", "0.800", "0.376", "440M", "211M"]
    assert "zeros give no speed-up" in text and "one bit for" in text


@pytest.mark.parametrize("zeroed", [0.0, 1e-4])
def test_a_few_zeros_are_no_sparsity(zeroed):
    record = make_record()
    record.compressed.structure = Structure(removed=0.5, zeroed=zeroed, zeroed_total=zeroed)
    text = text_of([record])
    assert "zero" not in text and "stored sparse" not in text


def test_names_that_look_like_markup_are_shown_as_they_are():
    assert "[bold]" in text_of([make_record(method="[bold]")])


def test_the_caption_warns_of_clocks_that_other_jobs_disturbed():
    noisy = make_record()
    noisy.latency.beside_others = True
    assert "secateur-measure" in text_of([noisy])
    assert "secateur-measure" not in text_of([make_record()])


def test_the_spread_does_not_lose_digits_to_a_large_mean():
    (row,) = compressed([make_record(seed=seed, f1=1e9 + seed) for seed in (1, 2, 3)])
    assert math.isclose(row.score.std, 1.0)
