"""A small model with random weights for each supported architecture; settings have BERT's names."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel

from secateur.structure.anatomy import ANATOMIES
from secateur.structure.auto import auto_class_named

ALL_ARCHITECTURES = sorted(ANATOMIES)
# Those whose heads and units can be cut, as nearly all methods do.
ARCHITECTURES = [name for name in ALL_ARCHITECTURES if ANATOMIES[name].has_linear_attention]
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
    anatomy = ANATOMIES[model_type]
    settings = {**SIZES, **settings}
    if anatomy.positions == "relative":
        del settings["max_position_embeddings"]
    own_names = {**AutoConfig.for_model(model_type).attribute_map, **anatomy.config_names}
    settings = {own_names.get(name, name): value for name, value in settings.items()} | anatomy.config_values
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **settings)
    return auto_class_named(f"AutoModelFor{task}").from_config(config).eval()
