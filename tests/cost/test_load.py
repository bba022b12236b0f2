"""Whether other processes used the machine during a measurement is detected from the busy time."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from secateur.cost import load
from secateur.cost.load import Load, gpu_is_shared, load_now, ran_beside_others

START = Load(wall=100.0, own=7.0, machine=1000.0)


def later(*, wall: float, own: float, others: float) -> Load:
    return Load(wall=100.0 + wall, own=7.0 + own, machine=1000.0 + own + others)


@pytest.mark.parametrize(
    ("window", "beside"),
    [
        ({"wall": 10, "own": 10, "others": 0}, False),  # alone
        ({"wall": 10, "own": 10, "others": 1}, False),  # a system's own background
        ({"wall": 10, "own": 0, "others": 3}, True),  # others, while we waited
        ({"wall": 10, "own": 20, "others": 10}, True),  # another job on one core
        ({"wall": 10, "own": 600, "others": 20}, False),  # 3 % on 60 cores: clocks differ by as much
        ({"wall": 10, "own": 600, "others": 40}, True),
        ({"wall": 10, "own": 10, "others": -1}, False),  # ticks lag behind
    ],
)
def test_others_are_the_busy_time_that_is_not_ours(window, beside):
    assert ran_beside_others(START, later(**window)) is beside


def test_quiet_is_not_claimed_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "STAT", tmp_path / "missing")
    assert load_now().machine is None
    assert ran_beside_others(load_now(), load_now())


def test_idle_and_waiting_processors_are_not_busy(tmp_path, monkeypatch):
    """Fields are user nice system idle iowait irq softirq steal guest guest_nice; guests are within user."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 10 20 90000 8000 3 4 5 50 6\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr(load, "STAT", stat)
    monkeypatch.setattr(load.os, "sysconf", lambda _: 100)
    assert load_now().machine == pytest.approx(1.42)


@pytest.mark.skipif(not load.STAT.exists(), reason="the system does not tell how busy it is")
def test_a_busy_process_beside_us_is_noticed():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before = load_now()
        time.sleep(0.7)
        assert ran_beside_others(before, load_now())
    finally:
        busy.kill()
        busy.wait()


@pytest.mark.parametrize(("others", "shared"), [(0, False), (2 * 2**30, True)])
def test_memory_on_the_gpu_that_is_not_ours_is_noticed(monkeypatch, others, shared):
    total, ours, context = 80 * 2**30, 10 * 2**30, 2**29
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (total - ours - context - others, total))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: ours)
    assert gpu_is_shared(torch.device("cuda")) is shared
    assert not gpu_is_shared(torch.device("cpu"))
