"""Small random models, dense and with parts removed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizer, PreTrainedModel

HIDDEN = 32
HEAD_SIZE = 8
UNITS = 48
LAYERS = 3


@pytest.fixture
def dense() -> PreTrainedModel:
    """3 layers of 4 heads (of 8) and 48 units, 32 wide."""
    return _bert()


@pytest.fixture
def shrink() -> Callable[..., PreTrainedModel]:
    """A model of as many layers as are given, with the first so many heads and units in each."""

    def build(*, heads: Sequence[int], units: Sequence[int]) -> PreTrainedModel:
        model = _bert()
        model.bert.encoder.layer = model.bert.encoder.layer[: len(heads)]
        for layer, kept_heads, kept_units in zip(model.bert.encoder.layer, heads, units, strict=True):
            attention, width = layer.attention, kept_heads * HEAD_SIZE
            for name in ("query", "key", "value"):
                setattr(attention.self, name, _keep(getattr(attention.self, name), rows=width))
            attention.output.dense = _keep(attention.output.dense, columns=width)
            layer.intermediate.dense = _keep(layer.intermediate.dense, rows=kept_units)
            layer.output.dense = _keep(layer.output.dense, columns=kept_units)
        return model

    return build


def _bert() -> PreTrainedModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD_SIZE,
        intermediate_size=UNITS,
        max_position_embeddings=40,
    )
    return BertForQuestionAnswering(config)


def _keep(linear: nn.Linear, *, rows: int | None = None, columns: int | None = None) -> nn.Linear:
    linear.weight = nn.Parameter(linear.weight.detach()[:rows, :columns].clone())
    linear.bias = nn.Parameter(linear.bias.detach()[:rows].clone())
    linear.out_features, linear.in_features = linear.weight.shape
    return linear


@pytest.fixture
def tokenizer(tmp_path: Path) -> BertTokenizer:
    """A vocabulary of seven words."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is"]))
    return BertTokenizer.from_pretrained(tmp_path)
