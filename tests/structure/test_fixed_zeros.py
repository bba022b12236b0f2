"""Zeros are fixed where a model declares them, through saving, surgery and new heads; stray zeros are not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
)

from secateur.errors import SecateurError
from secateur.structure.anatomy import layers_of
from secateur.structure.checkpoint import load, save_model, with_fresh_head
from secateur.structure.fixed_zeros import (
    apply_masks,
    declare_fixed_zeros,
    declared_patterns,
    layer_patterns,
    masks_of,
    matching,
    zero_fraction,
)
from secateur.structure.surgery import remove_heads, remove_units
from tests.architectures import ARCHITECTURES

QUERY = "encoder.layer.*.attention.self.query.weight"
DOWN = "encoder.layer.*.output.dense.weight"
EMBEDDINGS = "embeddings.word_embeddings.weight"


@pytest.fixture
def tokenizer(tmp_path: Path) -> BertTokenizer:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is"]))
    return BertTokenizer.from_pretrained(tmp_path)


@torch.no_grad()
def sparse(model: PreTrainedModel, patterns: list[str], *, every: int = 3) -> PreTrainedModel:
    """Every third weight of the matrices is zero, and declared so."""
    for weight in matching(model, patterns).values():
        weight.view(-1)[::every] = 0
    declare_fixed_zeros(model, patterns)
    return model


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_zeros_of_declared_matrices_are_the_mask(make_model, model_type):
    model = make_model(model_type=model_type)
    patterns = layer_patterns(model.config)
    assert len(matching(model, patterns)) == 6 * 3
    sparse(model, patterns)
    masks = masks_of(model)
    assert all(masks[name].equal(weight != 0) for name, weight in matching(model, patterns).items())
    assert zero_fraction(matching(model, patterns).values()) == pytest.approx(1 / 3, abs=0.01)


def test_stray_zeros_are_not_fixed(make_model):
    model = make_model()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, 0] = 0
    assert masks_of(model) == {}
    sparse(model, [QUERY])
    assert all("query" in name for name in masks_of(model))


def test_patterns_add_up_and_one_without_zeros_is_left_out(make_model):
    model = sparse(make_model(), [QUERY])
    declare_fixed_zeros(model, [DOWN])
    assert declared_patterns(model.config) == (QUERY,)
    sparse(model, [EMBEDDINGS, QUERY])
    assert declared_patterns(model.config) == (QUERY, EMBEDDINGS)
    assert list(masks_of(model))[-1] == EMBEDDINGS


def test_the_declaration_survives_a_folder(make_model, tokenizer, tmp_path):
    model = sparse(make_model(), [QUERY, DOWN])
    save_model(model, tokenizer, tmp_path / "model")
    again = load(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["fixed_zeros"] == [QUERY, DOWN]
    masks = masks_of(again)
    assert masks.keys() == masks_of(model).keys()
    assert all(mask.equal(masks[name]) for name, mask in masks_of(model).items())


def test_surgery_and_renumbered_layers_keep_the_pattern(make_model, tokenizer, tmp_path):
    model = sparse(make_model(), [QUERY, DOWN])
    remove_heads(model, [torch.tensor(kept) for kept in ([0, 2], [1], [0, 1, 2, 3])])
    remove_units(model, [torch.arange(count) for count in (5, 24, 7)])
    layers = layers_of(model)
    del layers[0]
    save_model(model, tokenizer, tmp_path / "model")
    masks = masks_of(load(tmp_path / "model"))
    for index, layer in enumerate(layers):
        assert masks[f"encoder.layer.{index}.attention.self.query.weight"].equal(layer.attention.self.query.weight != 0)


def test_surgery_that_leaves_no_zeros_leaves_nothing_declared(make_model):
    model = make_model()
    with torch.no_grad():
        for layer in layers_of(model):
            layer.output.dense.weight[:, 0] = 0
    declare_fixed_zeros(model, [DOWN])
    remove_units(model, [torch.arange(1, 24)] * 3)
    assert declared_patterns(model.config) == ()
    assert not hasattr(model.config, "fixed_zeros")


@pytest.mark.parametrize("uneven", [False, True])
def test_a_new_head_on_a_sparse_body_keeps_its_zeros(make_model, tokenizer, tmp_path, uneven):
    """What the new model lacks, as question answering lacks a pooler, it does not declare."""
    model = sparse(make_model("SequenceClassification"), [QUERY, "pooler.dense.weight"])
    if uneven:
        remove_heads(model, [torch.arange(count) for count in (3, 1, 4)])
    save_model(model, tokenizer, tmp_path / "model")
    fresh = with_fresh_head(tmp_path / "model", auto_class=AutoModelForSequenceClassification, num_labels=5)
    assert declared_patterns(fresh.config) == (QUERY, "pooler.dense.weight")
    masks, before = masks_of(fresh), masks_of(model)
    assert masks.keys() == before.keys()
    assert all(mask.equal(before[name]) for name, mask in masks.items())
    without_pooler = with_fresh_head(tmp_path / "model", auto_class=AutoModelForQuestionAnswering)
    assert declared_patterns(without_pooler.config) == (QUERY,)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("encoder.layer.*.attention.self.qery.weight", "the model has no such matrix"),
        ("encoder.layer.*.attention.self.query.bias", "the model has no such matrix"),
        (DOWN, "contains no zeros"),
    ],
)
def test_a_declaration_that_is_not_true_is_refused_in_one_line(make_model, tokenizer, tmp_path, entry, message):
    save_model(sparse(make_model(), [QUERY]), tokenizer, tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "fixed_zeros": [QUERY, entry]}))
    expected = rf"^config\.json: fixed_zeros={re.escape(entry)}: {message}[^\n]*$"
    with pytest.raises(SecateurError, match=expected):
        masks_of(load(tmp_path / "model"))
    with pytest.raises(SecateurError, match=expected):
        with_fresh_head(tmp_path / "model", auto_class=AutoModelForSequenceClassification)


def test_masks_are_applied_in_place():
    weights = [torch.ones(2, 3), torch.full((4,), 5.0)]
    apply_masks(weights, [torch.eye(2, 3), torch.tensor([0.0, 1, 1, 0])])
    assert weights[0].equal(torch.eye(2, 3))
    assert weights[1].tolist() == [0, 5, 5, 0]
    apply_masks([], [])
