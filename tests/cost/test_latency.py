"""Both models are timed in turn at every setting, one measurement at a time on a machine."""

from __future__ import annotations

import logging
import tempfile
import threading
import time

import pytest
import torch

from secateur.cost import latency, measure_latency
from secateur.errors import SecateurError


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Tests must not wait for a measurement that happens to run on the machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_every_setting_is_timed_for_both_models(dense, shrink):
    small = shrink(heads=[0, 1, 2], units=[4, 0, 8])
    result = measure_latency(
        dense, small, batch_sizes=[1, 2], lengths=[8, 16], dtypes=["float32", "bfloat16"], seconds=0.01
    )
    settings = {(pair.dtype, pair.batch_size, pair.length) for pair in result.pairs}
    assert settings == {(d, b, n) for d in ("float32", "bfloat16") for b in (1, 2) for n in (8, 16)}
    for pair in result.pairs:
        assert pair.repeats >= 5
        assert 0 < pair.reference.p50 <= pair.reference.p90
        assert 0 < pair.compressed.p50 <= pair.compressed.p90
    assert (result.device, result.threads) == ("cpu", torch.get_num_threads())


def test_models_take_turns_in_evaluation_mode_and_the_asked_dtype(dense, shrink):
    small = shrink(heads=[1], units=[4])
    dense.train()
    calls = []
    for name, model in (("reference", dense), ("compressed", small)):
        model.register_forward_pre_hook(
            lambda module, _, name=name: calls.append((name, module.dtype, module.training))
        )
    measure_latency(dense, small, batch_sizes=[1], lengths=[8], dtypes=["bfloat16"], seconds=0)
    assert [name for name, *_ in calls] == ["reference", "compressed"] * (len(calls) // 2)
    assert {tuple(rest) for _, *rest in calls} == {(torch.bfloat16, False)}
    assert (dense.dtype, dense.training) == (torch.float32, True)


def test_a_slower_model_is_seen_to_be_slower(dense, shrink):
    small = shrink(heads=[1], units=[4])
    dense.register_forward_pre_hook(lambda *_: time.sleep(0.01))
    (pair,) = measure_latency(dense, small, batch_sizes=[1], lengths=[8], seconds=0.1).pairs
    assert pair.reference.p50 > 10
    assert pair.speedup > 1


def test_the_reference_may_be_the_compressed_model(dense):
    """With no steps to take, both are one object."""
    (pair,) = measure_latency(dense, dense, batch_sizes=[1], lengths=[8], seconds=0).pairs
    assert pair.repeats == 5


def test_spends_the_seconds_it_was_given(dense):
    start = time.monotonic()
    (pair,) = measure_latency(dense, dense, batch_sizes=[1], lengths=[8], seconds=0.3).pairs
    assert 0.3 < time.monotonic() - start < 3
    assert pair.repeats > 5


def test_thread_count_is_recorded(dense):
    result = measure_latency(dense, dense, batch_sizes=[], lengths=[], seconds=0)
    assert result.threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"dtypes": ["float16"]}, "dtype='float16' .* float32, bfloat16"), ({"lengths": [8, 41]}, "length=41")],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(dense, change, message):
    dense.register_forward_pre_hook(lambda *_: pytest.fail("a pass was run"))
    options = {"batch_sizes": [1], "lengths": [8], "seconds": 0} | change
    with pytest.raises(SecateurError, match=message):
        measure_latency(dense, dense, **options)


def test_a_second_measurement_waits_for_the_first_and_says_so(dense, caplog):
    result = []

    def measure():
        result.append(measure_latency(dense, dense, batch_sizes=[1], lengths=[8], seconds=0))

    with caplog.at_level(logging.INFO, logger=latency.__name__):
        with latency._only_measurement():
            other = threading.Thread(target=measure)
            other.start()
            other.join(timeout=0.3)
            assert other.is_alive()
            assert not result
        other.join(timeout=10)
    assert len(result) == 1
    assert "waiting for another measurement" in caplog.text
