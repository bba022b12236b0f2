"""The picture of score against speed-up has a panel for each data set, and is drawn only if there are figures."""

import subprocess
import sys

from secateur.record import Latency, LatencyPair, ModelFigures, Percentiles, Record
from secateur.report.frontier import draw
from secateur.report.rows import group


def make_record(*, method="l0", seed=1, f1=72.0, milliseconds=50.0, timed=True, dataset="squad"):
    pair = LatencyPair(
        batch_size=8,
        length=384,
        dtype="float32",
        reference=Percentiles(p50=100, p90=110),
        compressed=Percentiles(p50=milliseconds, p90=milliseconds),
        repeats=20,
    )
    return Record(
        status="finished",
        name=f"{method}-{seed}",
        method=method,
        model="tiny",
        dataset=dataset,
        distillation="none",
        sparsity=0.5,
        seed=seed,
        predecessor_seed=1,
        metric="f1",
        config={},
        fingerprint="abc",
        reference=ModelFigures(folder="dense", scores={"f1": 80.0}),
        compressed=ModelFigures(folder="model", scores={"f1": f1}),
        latency=Latency(device="cpu", threads=1, beside_others=False, pairs=[pair]) if timed else None,
    )


def test_the_picture_is_a_png_with_a_panel_for_each_dataset(tmp_path):
    records = [make_record(seed=seed, f1=70.0 + seed, dataset=name) for seed in (1, 2) for name in ("a", "$b_{")]
    path = tmp_path / "frontier.png"
    assert draw(group(records), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["frontier.png"]


def test_more_panels_than_anybody_reads_are_not_drawn(tmp_path):
    """A sweep over many models and data sets has its page; a picture of all of them would take minutes."""
    records = [make_record(dataset=str(number)) for number in range(25)]
    assert not draw(group(records), tmp_path / "frontier.png")


def test_nothing_is_drawn_without_a_speed(tmp_path):
    assert not draw(group([make_record(timed=False)]), tmp_path / "frontier.png")
    assert not list(tmp_path.iterdir())


def test_reporting_imports_no_torch_and_no_matplotlib_before_it_draws():
    """The report must run where no model can, and at once."""
    code = (
        "import sys, secateur.commands.report;"
        "print(*{'torch', 'transformers', 'pytorch_lightning', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
