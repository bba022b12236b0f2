"""The Natural Questions head: saved, loaded, cut and decomposed on every architecture and in every shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

from secateur.structure.auto import AutoModelForNaturalQuestions
from secateur.structure.checkpoint import load, save_model, with_fresh_head
from secateur.structure.decomposition import decompose
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ARCHITECTURES

NAMES = ("start_logits", "end_logits", "answer_type_logits")


@pytest.fixture
def save(tokenizer, tmp_path: Path) -> Callable[[PreTrainedModel], Path]:
    """Saves a model; gives its folder."""

    def to(model: PreTrainedModel) -> Path:
        save_model(model, tokenizer, tmp_path / "model")
        return tmp_path / "model"

    return to


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_keeps_it(model_type, make_model, batch, save, uneven_gates: PerGate):
    """Gated, cut, saved, loaded: the same logits."""
    model = make_model("NaturalQuestions", model_type=model_type).eval()
    assert type(model).__name__.endswith("ForNaturalQuestions")
    with torch.no_grad(), gated(model, uneven_gates):
        expected = model(**batch)
    found = load(save(shrink(model, uneven_gates)))
    with torch.no_grad():
        outputs = found(**batch)
    for name in NAMES:
        torch.testing.assert_close(outputs[name], expected[name], atol=1e-5, rtol=0)
    assert outputs["start_logits"].shape == (2, 9)
    assert outputs["answer_type_logits"].shape == (2, 5)


def test_a_dense_one_brings_its_class(make_model, batch, save):
    """No class of transformers builds it, so it comes with the modelling file though nothing was cut."""
    model = make_model("NaturalQuestions").eval()
    folder = save(model)
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == {"AutoModelForQuestionAnswering": "modeling_secateur.SecateurBertForNaturalQuestions"}
    assert (folder / "modeling_secateur.py").is_file()
    theirs = AutoModelForQuestionAnswering.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        for name in NAMES:
            torch.testing.assert_close(theirs(**batch)[name], model(**batch)[name], atol=1e-6, rtol=0)


def test_the_loss_is_the_mean_of_three(make_model, batch: dict[str, Tensor]):
    labels = {"start_positions": [3, 0], "end_positions": [5, 0], "answer_types": [2, 0]}
    given = {name: torch.tensor(values) for name, values in labels.items()}
    outputs = make_model("NaturalQuestions")(**batch, **given)
    losses = [
        torch.nn.functional.cross_entropy(outputs[logits], label)
        for logits, label in zip(NAMES, given.values(), strict=True)
    ]
    torch.testing.assert_close(outputs["loss"], sum(losses) / 3)
    assert make_model("NaturalQuestions")(**batch).loss is None


def test_a_body_gets_it_fresh(make_model, save, uneven_gates: PerGate):
    """Also one that was cut on another task."""
    folder = save(shrink(make_model(), uneven_gates))
    model = with_fresh_head(folder, auto_class=AutoModelForNaturalQuestions, num_labels=2)
    assert type(model).__name__ == "SecateurBertForNaturalQuestions"
    assert structure_sizes(model) == structure_sizes(load(folder))


def test_question_and_page_can_be_read_apart(make_model, batch, save):
    model = decompose(make_model("NaturalQuestions").eval(), lower_layers=2, question_slot=4)
    assert type(model).__name__ == "SecateurSegmentedBertForNaturalQuestions"
    again = load(save(model))
    states = model.encode(batch["input_ids"][:, 4:], batch["attention_mask"][:, 4:])
    with torch.no_grad():
        expected = model(**batch, question_length=4)
        kept = model(batch["input_ids"][:, :4], attention_mask=batch["attention_mask"], document_states=states)
        for name in NAMES:
            torch.testing.assert_close(again(**batch, question_length=4)[name], expected[name], atol=1e-6, rtol=0)
            torch.testing.assert_close(kept[name], expected[name], atol=1e-5, rtol=0)
