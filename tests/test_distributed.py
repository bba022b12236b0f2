"""Several processes train one model together: they share an epoch's batches, and only one of them writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from secateur.data.batching import BucketSampler
from secateur.distributed import RANKS, is_leader
from secateur.record import find_records, read_record
from secateur.runs.pipeline import _restored
from secateur.structure.gates import PerGate
from tests.architectures import random_model
from tests.small_runs import small

LENGTHS = np.arange(47) % 13


def share(rank: int, monkeypatch: pytest.MonkeyPatch, *, processes: int) -> list[int]:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    return list(BucketSampler(LENGTHS, batch_size=4, seed=1, processes=processes))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_whole_batches_evenly(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [share(rank, monkeypatch, processes=processes) for rank in range(processes)]
    sampler = BucketSampler(LENGTHS, batch_size=4, seed=1, processes=processes)
    assert {len(items) for items in shares} == {len(sampler)} == {47 // (4 * processes) * 4}
    taken = [item for items in shares for item in items]
    assert len(set(taken)) == len(taken)
    alone = list(BucketSampler(LENGTHS, batch_size=4, seed=1))
    assert [shares[0][:4], shares[1][:4]] == [alone[:4], alone[4:8]]


@pytest.mark.parametrize("name", RANKS)
def test_the_first_process_leads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in RANKS:
        monkeypatch.delenv(other, raising=False)
    assert is_leader()
    monkeypatch.setenv(name, "0")
    assert is_leader()
    monkeypatch.setenv(name, "1")
    assert not is_leader()


def secateur(*overrides: str, output: Path) -> subprocess.CompletedProcess[str]:
    ddp = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
    chosen = [override for override in small(*overrides) if override != "trainer=cpu"]
    flags = ["--multirun"] if any("," in override for override in overrides) else []
    command = [sys.executable, "-m", "secateur", *flags, *chosen, *ddp, f"paths.output={output}", "model.epochs=1"]
    clean = {name: value for name, value in os.environ.items() if name not in RANKS}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean, timeout=240)


def test_two_processes_train_a_model_and_leave_one_record(tmp_path: Path) -> None:
    """Predecessor, importance, surgery and recovery: each written once, and told once."""
    done = secateur("method=gain", output=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in done.stdout + done.stderr
    assert done.stdout.count("predecessor seed") == done.stdout.count("step 03-recover") == 1
    (path,) = find_records(tmp_path / "runs")
    record = read_record(path)
    assert record.status == "finished"
    assert record.compressed is not None
    assert record.compressed.structure.heads_removed == 0.5
    assert not list(tmp_path.rglob("*.partial"))


def test_a_process_goes_on_from_what_came_before_its_step_though_the_leader_is_ahead(tmp_path: Path) -> None:
    """The leader may have finished the step, which leaves no gates, while another process still begins it."""
    gates = PerGate(heads=(torch.ones(2),), units=(torch.zeros(3),))
    before, own = (tmp_path / "steps" / name for name in ("01-threshold", "02-surgery"))
    for folder in (before, own):
        folder.mkdir(parents=True)
    gates.save(before / "gates.safetensors")
    state = _restored(random_model("bert"), own)
    assert state.gates is not None
    assert state.gates.heads[0].equal(gates.heads[0])


def witness(folder: Path) -> tuple[str, ...]:
    """Overrides that make each process write down what it has in the end of each phase."""
    return "+callbacks.witness._target_=tests.small_runs.Witness", f"+callbacks.witness.folder={folder}"


def assert_same_in_both(folder: Path, phase: str) -> None:
    first, second = (load_file(folder / f"{phase}.{rank}") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)


PHASES = {"l0": "gate", "layerdrop": "drop", "nip": "prune", "rpp": "prune", "theseus": "replace"}
ACCUMULATED = "method.steps.{}.accumulate_grad_batches=2"
CASES = [
    *((method, ()) for method in ("l0", "nip", "rpp")),
    ("layerdrop", ("method.remove=search", "method.unit=attention", ACCUMULATED.format("drop"))),
    ("layerdrop", ("method.p=0.6", "method.steps.drop.batch_size=4")),  # a fifth of the batches has no layer at all
    ("theseus", ("method.mixes=[[0]]", "model.architecture.num_hidden_layers=4", ACCUMULATED.format("replace"))),
]


@pytest.mark.parametrize(("method", "more"), CASES)
def test_two_processes_have_the_same_model_in_the_end(method: str, more: tuple[str, ...], tmp_path: Path) -> None:
    """Layers left out, gates, multipliers, masks and proximal steps are each process's own doing.

    A layer that one process ran and the other did not would make them wait for each other, or drift apart. What is
    scored in between is scored by the leader alone.
    """
    seen = tmp_path / "seen"
    epochs = f"method.steps.{PHASES[method]}.epochs=3"
    done = secateur(f"method={method}", "sparsity=0.34", epochs, *witness(seen), *more, output=tmp_path)
    assert done.returncode == 0, done.stderr
    for phase in (PHASES[method], "recover"):
        assert_same_in_both(seen, phase)
    (path,) = find_records(tmp_path / "runs")
    compressed = read_record(path).compressed
    assert compressed is not None
    structure = compressed.structure
    assert max(structure.layers_removed, structure.heads_removed, structure.removed, structure.zeroed) >= 0.33
    assert not list(tmp_path.rglob("*.partial"))


def test_two_processes_guess_hidden_tokens_together(tmp_path: Path) -> None:
    """Each hides its own inputs' tokens, and their gradients are averaged."""
    text = "\n\n".join("\n".join(f"door {n} of house {k} is old" for k in range(3)) for n in range(40))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    chosen = ("dataset=custom_text", f"dataset.data_dir={tmp_path}", "dataset.max_seq_length=32")
    seen = tmp_path / "seen"
    small_model = ("model.vocabulary_size=150", "model.batch_size=8")
    done = secateur("method=finetune", *chosen, *small_model, *witness(seen), output=tmp_path / "output")
    assert done.returncode == 0, done.stderr
    assert_same_in_both(seen, "predecessor")
    (path,) = find_records(tmp_path / "output" / "runs")
    figures = read_record(path).compressed
    assert figures is not None
    assert {"mlm_loss", "nsp_accuracy"} <= figures.scores.keys()


def test_a_multirun_inside_one_process_is_refused(tmp_path: Path) -> None:
    done = secateur("seed=1,2", output=tmp_path)
    assert done.returncode == 1
    assert (
        "trainer.strategy=ddp_find_unused_parameters_true: does not work in a multirun whose jobs run in the launching "
        in done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr


def test_too_little_data_for_the_processes_is_told_in_one_line(tmp_path: Path) -> None:
    done = secateur("model.batch_size=64", output=tmp_path)
    assert done.returncode == 1
    assert "does not fill one batch of 64 for each of 2 processes" in done.stderr + done.stdout
