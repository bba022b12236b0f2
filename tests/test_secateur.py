"""What importing the package does, and which imports it defers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.small_runs import run


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_told_otherwise(given: str | None, expected: str) -> None:
    """And torch, which reads the setting once, is not imported before."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = "import os, sys, secateur; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | ({"OMP_WAIT_POLICY": given} if given else {}),
    )
    assert done.stdout.split() == [expected, "False"]


def test_a_job_takes_the_threads_that_it_is_given(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        record, _ = run("method=finetune", "threads=2", "model.epochs=1", output=tmp_path)
        assert record.machine["threads"] == 2
    finally:
        torch.set_num_threads(before)
