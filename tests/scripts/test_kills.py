"""Every phase of every method killed with -9 once, in the middle: it ends as if nothing had happened.

The moments are those of ``scripts/kill_runs``, which kills as often as one likes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.methods import METHODS

SCRIPT = Path(__file__).parents[2] / "scripts" / "kill_runs"
TRAINED = [row.name for row in METHODS if row.architecture == "bert" and (row.phases or row.name == "finetune")]


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_that_was_killed_equals_one_that_was_left_alone(method: str, tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, method, "--kills", "1", "--output", tmp_path / "kills.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal True" in done.stdout
