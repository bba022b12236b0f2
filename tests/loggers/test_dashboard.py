"""Each job has its own run with complete data, read back from disk as the client wrote it; nothing is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from secateur.errors import SecateurError
from secateur.loggers import Wandb
from tests.conftest import REPOSITORY
from tests.small_runs import Killed, kill_at, run

OFFLINE = ("logger=wandb", "logger.offline=true", "trainer.log_every_n_steps=2")
SETTINGS: dict[str, Any] = {"project": "p", "entity": None, "group": "g", "job_type": "gain", "tags": []}


def records_of(folder: Path) -> Iterator[Any]:
    """What the client wrote of the runs in a run's folder."""
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        for data in entries(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            yield record


def entries(data: bytes) -> Iterator[bytes]:
    """The entries of a file in LevelDB's log format behind a header of 7 bytes: blocks of 32 KiB, in which each piece
    has its checksum (4 bytes), its length (2) and whether it is whole (1), a beginning (2), a middle (3) or an end (4).
    """
    block, place, parts = 32768, 7, b""
    while place + 7 <= len(data):
        if block - place % block < 7:  # too little room for a piece's header: the rest of the block is empty
            place += block - place % block
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in {1, 4}:
            yield parts
            parts = b""


def told(folder: Path) -> dict[str, Any]:
    """Config, history's names, summary and exit codes, put together."""
    found: dict[str, Any] = {"config": {}, "history": set(), "summary": {}, "exits": [], "runs": []}
    for record in records_of(folder):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found["runs"].append(record.run)
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            found["history"] |= {"/".join(item.nested_key) or item.key for item in record.history.item}
        elif kind == "summary":
            items = record.summary.update
            found["summary"] |= {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
        elif kind == "exit":
            found["exits"].append(record.exit.exit_code)
    return found


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder: what runs have in common is made once."""
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def two(output: Path) -> list[tuple[Any, Path]]:
    """Two jobs of one process, as in a multirun."""
    return [
        run(f"method={method}", "sparsity=0.5", "sweep=s", *OFFLINE, output=output) for method in ("random", "gain")
    ]


def test_each_job_has_a_run_of_its_own_and_nothing_leaks(two: list[tuple[Any, Path]]) -> None:
    (_, one), (_, other) = two
    runs = [told(folder)["runs"][0] for folder in (one, other)]
    assert runs[0].run_id != runs[1].run_id
    assert [found.display_name for found in runs] == [one.name, other.name]
    assert [found.job_type for found in runs] == ["random", "gain"]
    assert {found.run_group for found in runs} == {"s"}
    assert (one / "wandb_id").read_text() == runs[0].run_id
    assert "WANDB_MODE" not in os.environ


def test_the_whole_config_curves_and_figures_are_told(two: list[tuple[Any, Path]]) -> None:
    record, folder = two[1]
    found = told(folder)
    assert found["config"]["method"]["steps"]["recover"]["epochs"] == 1
    assert found["config"]["sparsity"] == 0.5
    assert {"recover/train/loss", "recover/val/f1", "recover/optimizer_step"} <= found["history"]
    assert found["summary"]["compressed/f1"] == pytest.approx(record.compressed.scores["f1"])
    assert found["summary"]["retention"] == pytest.approx(record.retention)
    assert any(name.startswith("speedup/pytorch/float32/1x16") for name in found["summary"])
    assert found["exits"] == [0]


def test_a_run_that_goes_on_keeps_its_id_and_a_failure_shows_as_one(output: Path) -> None:
    asked = ("method=control", *OFFLINE)
    with pytest.raises(Killed):
        run(*asked, kill_at(3, when="batch"), output=output)
    _, folder = run(*asked, output=output)
    wandb.teardown()  # the client's process has written everything then
    found = told(folder)
    assert {each.run_id for each in found["runs"]} == {(folder / "wandb_id").read_text()}
    assert sorted(found["exits"]) == [0, 1]


def test_where_wandb_is_disabled_a_run_is_the_same_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    record, folder = run("method=finetune", "logger=wandb", "model.epochs=1", output=tmp_path)
    assert record.status == "finished"
    assert not list(folder.glob("wandb/*run-*"))


def test_an_agent_of_wandbs_own_sweeps_finds_the_run_that_it_waits_for(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the id that it gave, with what it asked for on val; also where the run was finished before."""
    example = yaml.safe_load((REPOSITORY / "docs" / "examples" / "wandb_sweep.yaml").read_text())
    chosen = {"sparsity": 0.5, "method.steps.recover.learning_rate": 0.0001, "distillation": "none"}
    assert set(chosen) == set(example["parameters"])
    arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    command = [part for part in example["command"] if part not in {"${program}", "logger=wandb"}]
    place = command.index("${args_no_hyphens}")
    command[place : place + 1] = arguments["args_no_hyphens"]
    command = [part for part in command if not part.startswith(("model=", "dataset="))]
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    for name in ("agent1", "agent2"):
        monkeypatch.setenv("WANDB_RUN_ID", name)
        record, folder = run(*command, *OFFLINE, output=output)
        wandb.teardown()
        found = told(folder)
        assert found["runs"][-1].run_id == name == (folder / "wandb_id").read_text()
        assert found["summary"][example["metric"]["name"]] == pytest.approx(record.validation["f1"])


def test_a_server_that_cannot_be_reached_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> Any:
        raise wandb.errors.CommError("Failed to get resume status\nwhile retrying")

    monkeypatch.setattr(wandb, "init", unreachable)
    with pytest.raises(
        SecateurError, match=r"^logger=wandb: Failed to get resume status; set logger\.offline=true [^\n]+$"
    ):
        Wandb(**SETTINGS, offline=False).open(tmp_path, config={})


def test_without_a_key_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SecateurError, match=r"^logger=wandb: there is no API key; run wandb login, or set [^\n]*$"):
        Wandb(**SETTINGS, offline=False).check()
    Wandb(**SETTINGS, offline=True).check()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    Wandb(**SETTINGS, offline=False).check()
