"""The model that benchmarks run on where its weights make no difference."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering, PreTrainedModel


def loaded(checkpoint: Path) -> PreTrainedModel:
    """The checkpoint under a fresh head, or where it is missing, random weights of MiniLM's shape."""
    if checkpoint.is_dir():
        return AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32).eval()
    shape = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    return BertForQuestionAnswering(shape).eval()


def called(checkpoint: Path) -> str:
    """What records say of it."""
    return checkpoint.name if checkpoint.is_dir() else "random, MiniLM's shape"
