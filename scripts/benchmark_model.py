"""The model for benchmarks whose result does not depend on its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering, PreTrainedModel


def loaded(checkpoint: Path) -> PreTrainedModel:
    """The checkpoint under a fresh head or, if it is missing, a model of MiniLM's shape with random weights."""
    if checkpoint.is_dir():
        return AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32).eval()
    shape = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    return BertForQuestionAnswering(shape).eval()


def called(checkpoint: Path) -> str:
    """Its name in records."""
    return checkpoint.name if checkpoint.is_dir() else "random, MiniLM's shape"
