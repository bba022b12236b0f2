"""What every method must do, whatever its paper: the contract of DESIGN's steps, records and model folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

import secateur
from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.record import Record, read_record
from secateur.runs.building import check_buildable
from secateur.structure.checkpoint import load
from secateur.structure.decomposition import layout_of
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from tests.contract.methods import Row
from tests.small_runs import composed

# Of how many tokens the question is; asked of a model that reads question and document apart.
QUESTION_LENGTH = 8
INPUTS = {"input_ids": torch.arange(5, 25)[None], "attention_mask": torch.ones(1, 20, dtype=torch.long)}


def inputs_for(model: PreTrainedModel) -> dict[str, Any]:
    """What a run's model is asked, in the layout that it reads."""
    return INPUTS if layout_of(model.config) == "packed" else {**INPUTS, "question_length": QUESTION_LENGTH}


def test_composes_and_builds_every_step_in_order(row: Row, tmp_path: Path) -> None:
    config = checked(composed(*row.overrides, output=tmp_path))
    assert list(check_buildable(config)) == config.method["order"]
    assert set(row.phases) <= set(config.method["order"])


def test_refuses_a_key_that_no_step_reads(row: Row, tmp_path: Path) -> None:
    with pytest.raises(SecateurError, match=r"^method\.sparsty: unknown key"):
        checked(composed(*row.overrides, "+method.sparsty=0.3", output=tmp_path))


def test_refuses_a_key_that_a_step_does_not_take(row: Row, tmp_path: Path) -> None:
    for phase in row.phases:
        stranger = f"+method.steps.{phase}.epocks=2"
        with pytest.raises(
            SecateurError, match=rf"^method\.steps\.{phase}\.epocks: unknown key; did you mean epochs\?"
        ):
            checked(composed(*row.overrides, stranger, output=tmp_path))


def test_refuses_steps_left_behind_by_another_method(row: Row, tmp_path: Path) -> None:
    stranger = "+method.steps.leftover={_target_: secateur.methods.random.Random}"
    with pytest.raises(SecateurError, match=r"^method\.steps\.leftover: unknown key"):
        checked(composed(*row.overrides, stranger, output=tmp_path))


def test_reaches_what_was_asked_for(row: Row, finished: tuple[Record, Path]) -> None:
    record, _ = finished
    assert record.compressed is not None
    for figure, asked in row.reached.items():
        assert asked <= getattr(record.compressed.structure, figure) <= asked + 0.05


def test_record_is_whole_and_reads_back(row: Row, finished: tuple[Record, Path]) -> None:
    record, folder = finished
    assert read_record(folder) == record
    assert record.status == "finished"
    assert [step.name for step in record.steps] == record.config["method"]["order"]
    assert record.reference is not None
    assert record.compressed is not None
    assert record.latency is not None
    for figures in (record.reference, record.compressed):
        assert (folder / figures.folder / "config.json").is_file()
        assert {"em", "f1"} <= set(figures.scores)
        assert figures.cost is not None
        assert figures.cost.parameters > 0


def test_is_done_when_asked_again(row: Row, finished: tuple[Record, Path], output: Path) -> None:
    from tests.small_runs import run

    record, folder = finished
    before = (folder / "record.json").stat().st_mtime_ns
    again, _ = run(*row.overrides, output=output)
    assert again == record
    assert (folder / "record.json").stat().st_mtime_ns == before


def test_surgery_is_exact(finished: tuple[Record, Path]) -> None:
    """The model with gates and the one that surgery left agree to 1e-5."""
    _, folder = finished
    steps = sorted((folder / "steps").glob("*"))
    before = next((step for step in steps if (step / "gates.safetensors").is_file()), None)
    if before is None:
        pytest.skip("the method sets no gates")
    record, _ = finished
    assert record.reference is not None
    start = load(folder / record.reference.folder)
    shrunk = load(steps[steps.index(before) + 1] / "model")
    with torch.inference_mode(), gated(start, PerGate.load(before / "gates.safetensors")):
        expected = start(**INPUTS)
    with torch.inference_mode():
        found = shrunk(**INPUTS)
    torch.testing.assert_close(found.start_logits, expected.start_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.end_logits, expected.end_logits, atol=1e-5, rtol=0)


FOREIGN = """
import json, sys, torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer
assert not any(name.partition(".")[0] == "secateur" for name in sys.modules)
folder, extra, trusted = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
model = AutoModelForQuestionAnswering.from_pretrained(folder, trust_remote_code=bool(trusted)).eval()
AutoTokenizer.from_pretrained(folder)
ids = torch.arange(5, 25)[None]
with torch.inference_mode():
    outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **extra)
assert not any(name == "secateur" or name.startswith("secateur.") for name in sys.modules)
print(json.dumps([outputs.start_logits.tolist(), outputs.end_logits.tolist()]))
"""


# Whose models have layers like any other's, though fewer, or with zeros in them.
ORDINARY = {"finetune", "control", "truncate", "layerdrop", "theseus", "magnitude", "nip", "rpp"}


def test_model_loads_in_a_fresh_process_without_us(row: Row, finished: tuple[Record, Path], tmp_path: Path) -> None:
    """Plain transformers gives the same logits as ``secateur.load``, where it can without any code of the folder's."""
    _, folder = finished
    trusted = [] if row.name in ORDINARY else ["trusted"]
    ours = secateur.load(folder / "model")
    extra = inputs_for(ours).keys() - INPUTS.keys()
    foreign = subprocess.run(
        [
            *(sys.executable, "-c", FOREIGN, str(folder / "model")),
            json.dumps(dict.fromkeys(extra, QUESTION_LENGTH)),
            *trusted,
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    start, end = json.loads(foreign.stdout.splitlines()[-1])
    with torch.inference_mode():
        outputs = ours(**inputs_for(ours))
    torch.testing.assert_close(outputs.start_logits, torch.tensor(start), atol=1e-6, rtol=0)
    torch.testing.assert_close(outputs.end_logits, torch.tensor(end), atol=1e-6, rtol=0)
