"""Every method on Natural Questions, whose head is our own: what training, surgery, resuming and the model folder do.

All rows of ``METHODS`` are crossed with it; those beside the quick ones are slow.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import secateur
from secateur.record import Record
from secateur.structure.checkpoint import load
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from tests import pages
from tests.contract.methods import METHODS, Row
from tests.contract.test_methods import INPUTS, QUESTION_LENGTH, inputs_for
from tests.contract.test_resume import EVERY_STEP, assert_same
from tests.small_runs import Killed, kill_at, run

QUICK = ("gain", "deformer")
LOGITS = ("start_logits", "end_logits", "answer_type_logits")

Finished = tuple[Row, Record, Path]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return pages.dataset(tmp_path_factory.mktemp("nq"))


@pytest.fixture(
    scope="session",
    params=[pytest.param(row, id=row.id, marks=() if row.id in QUICK else pytest.mark.slow) for row in METHODS],
)
def answered(request: pytest.FixtureRequest, dataset: tuple[str, ...], output: Path) -> Finished:
    """The method, its record and run folder."""
    row = request.param.prepared(output)
    return row, *run(*row.overrides, *dataset, EVERY_STEP, output=output)


def logits(outputs: Any) -> tuple[torch.Tensor, ...]:
    return tuple(outputs[name] for name in LOGITS)


def test_trains_and_reaches_what_was_asked_for(answered: Finished) -> None:
    row, record, folder = answered
    assert record.status == "finished"
    assert record.metric == "short_f1"
    assert record.compressed is not None
    assert {"long_f1", "short_f1", "short_recall_at_precision_90"} <= set(record.compressed.scores)
    for figure, asked in row.reached.items():
        assert asked <= getattr(record.compressed.structure, figure) <= asked + 0.05
    if row.name != "finetune":
        assert len(json.loads((folder / "predictions.json").read_text())["predictions"]) == 12


def test_surgery_is_exact(answered: Finished) -> None:
    """The type of the answer is told from what it was told from before."""
    _, record, folder = answered
    steps = sorted((folder / "steps").glob("*"))
    before = next((step for step in steps if (step / "gates.safetensors").is_file()), None)
    if before is None:
        pytest.skip("the method sets no gates")
    assert record.reference is not None
    start, shrunk = load(folder / record.reference.folder), load(steps[steps.index(before) + 1] / "model")
    with torch.inference_mode(), gated(start, PerGate.load(before / "gates.safetensors")):
        expected = logits(start(**INPUTS))
    with torch.inference_mode():
        torch.testing.assert_close(logits(shrunk(**INPUTS)), expected, atol=1e-5, rtol=0)


FOREIGN = """
import json, sys, torch
from transformers import AutoModelForQuestionAnswering
model = AutoModelForQuestionAnswering.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
ids = torch.arange(5, 25)[None]
with torch.inference_mode():
    outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **json.loads(sys.argv[2]))
assert not any(name == "secateur" or name.startswith("secateur.") for name in sys.modules)
print(json.dumps([outputs[name].tolist() for name in ("start_logits", "end_logits", "answer_type_logits")]))
"""


def test_its_class_comes_along_for_those_without_us(answered: Finished, tmp_path: Path) -> None:
    """Dense or uneven, packed or segmented: the head is one that transformers lacks."""
    row, record, folder = answered
    assert record.reference is not None
    for place in (folder / record.reference.folder, folder / "model"):
        ours = secateur.load(place)
        assert type(ours).__name__.endswith("ForNaturalQuestions")
        assert list(ours.config.auto_map) == ["AutoModelForQuestionAnswering"]
    if row.id not in QUICK:
        return
    extra = dict.fromkeys(inputs_for(ours).keys() - INPUTS.keys(), QUESTION_LENGTH)
    foreign = subprocess.run(
        [sys.executable, "-c", FOREIGN, str(folder / "model"), json.dumps(extra)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    with torch.inference_mode():
        expected = logits(ours(**inputs_for(ours)))
    found = tuple(torch.tensor(each) for each in json.loads(foreign.stdout.splitlines()[-1]))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_every_phase_resumes_to_the_bit(
    answered: Finished, dataset: tuple[str, ...], output: Path, tmp_path: Path
) -> None:
    row, record, folder = answered
    if not row.phases:
        pytest.skip("the method trains nothing but the predecessor")
    overrides = [*row.overrides, *dataset, EVERY_STEP, f"paths.store={output / 'store'}"]
    for _ in row.phases:
        with pytest.raises(Killed):
            run(*overrides, kill_at(3, when="batch"), output=tmp_path)
    assert_same((record, folder), run(*overrides, output=tmp_path))
