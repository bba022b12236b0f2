"""A checkpoint's body with a head for another task or other labels: the body is kept, the head is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from secateur.errors import SecateurError
from secateur.structure.checkpoint import load, save_model, with_fresh_head
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import remove_heads, remove_units

THREE: dict[str, Any] = {
    "num_labels": 3,
    "id2label": {0: "entailment", 1: "neutral", 2: "contradiction"},
    "label2id": {"entailment": 0, "neutral": 1, "contradiction": 2},
    "problem_type": "single_label_classification",
}


@pytest.fixture
def save(tmp_path, tokenizer):
    """Saves a model, cut unevenly if so asked; gives its folder."""

    def to(model: PreTrainedModel, *, uneven: bool = False) -> Path:
        if uneven:
            remove_heads(model, [torch.arange(count) for count in (3, 0, 4)])
            remove_units(model, [torch.arange(count) for count in (5, 24, 0)])
        save_model(model, tokenizer, tmp_path / "checkpoint")
        return tmp_path / "checkpoint"

    return to


def _fresh(folder: Path, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(settings.pop("seed", 1))
    return with_fresh_head(folder, auto_class=AutoModelForSequenceClassification, **settings)


def _body(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.base_model.state_dict().items() if "pooler" not in name}


def _assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert list(ours) == list(theirs)
    assert all(ours[name].equal(theirs[name]) for name in ours)


@pytest.mark.parametrize("uneven", [False, True], ids=["stock", "uneven"])
def test_a_body_of_two_labels_under_a_head_for_three(make_model, save, tokenizer, batch, uneven):
    """Its pooler comes along, it runs, and it is saved and loaded with the names of its labels."""
    before = make_model("SequenceClassification", num_labels=2)
    folder = save(before, uneven=uneven)
    model = _fresh(folder, **THREE).eval()
    _assert_same(model.base_model.state_dict(), before.base_model.state_dict())
    assert structure_sizes(model) == structure_sizes(before)
    assert model.classifier.weight.shape == (3, 32)
    save_model(model, tokenizer, folder.parent / "again")
    again = load(folder.parent / "again")
    assert again.config.id2label == THREE["id2label"]
    assert again.config.problem_type == "single_label_classification"
    with torch.no_grad():
        assert torch.allclose(again(**batch).logits, model(**batch).logits, atol=1e-6)


def test_a_head_that_would_fit_is_new_all_the_same(make_model, save):
    """And follows from the seed."""
    before = make_model("SequenceClassification", num_labels=3)
    folder = save(before)
    one, same, other = (_fresh(folder, seed=seed, **THREE).classifier.weight for seed in (1, 1, 2))
    assert one.equal(same)
    assert not one.equal(other)
    assert not one.equal(before.classifier.weight)


@pytest.mark.parametrize("uneven", [False, True], ids=["stock", "uneven"])
def test_a_body_without_a_pooler_gets_a_new_one(make_model, save, uneven):
    """As a question answering model's: BERT classifies what its pooler makes of [CLS]."""
    before = make_model()
    assert before.bert.pooler is None
    folder = save(before, uneven=uneven)
    one, same = (_fresh(folder, **THREE) for _ in range(2))
    _assert_same(_body(one), _body(before))
    assert one.bert.pooler.dense.weight.std() > 0
    assert one.bert.pooler.dense.weight.equal(same.bert.pooler.dense.weight)


@pytest.mark.parametrize("uneven", [False, True], ids=["stock", "uneven"])
def test_a_pooler_that_the_head_does_not_use_is_left_out(make_model, save, uneven):
    before = make_model("SequenceClassification", num_labels=3)
    model = with_fresh_head(save(before, uneven=uneven), auto_class=AutoModelForQuestionAnswering, num_labels=2)
    assert model.bert.pooler is None
    _assert_same(_body(model), _body(before))
    assert model.qa_outputs.weight.shape == (2, 32)


def test_one_output_for_regression(make_model, save):
    folder = save(make_model("SequenceClassification", **THREE))
    model = _fresh(folder, num_labels=1, problem_type="regression")
    assert model.classifier.weight.shape == (1, 32)
    assert model.config.id2label == {0: "LABEL_0"}


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path):
    with pytest.raises(SecateurError, match=r"no such folder; give one with config\.json and model\.safetensors$"):
        _fresh(tmp_path / "nowhere", **THREE)
