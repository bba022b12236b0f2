"""The example of a sweep by wandb's own server, run by its own agent, with a loopback server as the controller."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.loggers.server import serving
from tests.small_runs import small

pytestmark = pytest.mark.slow

EXAMPLE = REPOSITORY / "docs" / "examples" / "wandb_sweep.yaml"
CHOSEN = {"sparsity": 0.5, "method.steps.recover.learning_rate": 0.0001, "distillation": "none"}


def test_an_agent_runs_what_the_server_chooses_and_the_server_learns_the_score_on_val(tmp_path: Path) -> None:
    sweep = yaml.safe_load(EXAMPLE.read_text())
    assert set(CHOSEN) == set(sweep["parameters"])
    # A small model and data in the place of the example's.
    place = sweep["command"].index("model=minilm")
    sweep["command"][place : place + 2] = small()
    with serving() as (address, told):
        told.sweep = yaml.safe_dump(sweep)
        arguments = {name: {"value": value} for name, value in CHOSEN.items()}
        told.commands = [{"type": "run", "run_id": "chosen1", "program": sweep["program"], "args": arguments}]
        commands = Path(sys.executable).parent
        environment = {
            **{name: value for name, value in os.environ.items() if name != "WANDB_MODE"},
            "WANDB_BASE_URL": address,
            "WANDB_API_KEY": "0" * 40,
            "PATH": f"{commands}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            [commands / "wandb", "agent", "--count", "1", "me/p/sweep1"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert told.exits("chosen1") == [0]
        assert 0 <= told.summary("chosen1")[sweep["metric"]["name"]] <= 100
        assert {settings["name"] for settings in told.runs} == {"chosen1"}
