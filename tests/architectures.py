"""A small model of random weights for each architecture that is supported, settings called as BERT's are."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel

from secateur.structure.anatomy import ANATOMIES
from secateur.structure.auto import auto_class_named

ARCHITECTURES = sorted(ANATOMIES)
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}


def random_model(model_type: str, *, task: str = "QuestionAnswering", **settings: Any) -> PreTrainedModel:
    """3 layers with 4 heads of 8 and 24 units each, if not said otherwise; ELECTRA's embeddings are 128 wide."""
    names = ANATOMIES[model_type].config_names
    settings = {names.get(name, name): value for name, value in {**SIZES, **settings}.items()}
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **settings)
    return auto_class_named(f"AutoModelFor{task}").from_config(config).eval()
