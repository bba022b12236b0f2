"""Anatomy: where an architecture keeps its layers, projections and heads.

Adding an architecture is adding one entry to ``ANATOMIES``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from secateur.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Dotted paths: ``layers`` from the base model, ``embeddings`` likewise, the rest from one layer.

    Attributes:
        layers: the ``ModuleList`` of encoder layers.
        embeddings: the module whose output enters the first layer.
        attention: the module that splits hidden states into heads.
        query, key, value: linear projections whose rows are laid out head by head.
        attention_output: linear projection whose input columns are laid out head by head.
        up, down: linear projections into and out of the FFN; a unit is a row of ``up`` and a column of ``down``.
        position_offset: how many rows at the head of the position table are never used.
    """

    layers: str
    embeddings: str
    attention: str
    query: str
    key: str
    value: str
    attention_output: str
    up: str
    down: str
    position_offset: int = 0


ANATOMIES: dict[str, Anatomy] = {
    "bert": Anatomy(
        layers="encoder.layer",
        embeddings="embeddings",
        attention="attention.self",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        up="intermediate.dense",
        down="output.dense",
    ),
}


def anatomy_of(config: PretrainedConfig) -> Anatomy:
    """The anatomy of a model with this configuration.

    Raises:
        SecateurError: if the architecture is not supported; the message lists those that are.
    """
    try:
        return ANATOMIES[config.model_type]
    except KeyError:
        supported = ", ".join(sorted(ANATOMIES))
        raise SecateurError(
            f"model_type={config.model_type!r} is not supported; supported architectures: {supported}"
        ) from None


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers, first to last."""
    layers = model.base_model.get_submodule(anatomy_of(model.config).layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def head_size_of(config: PretrainedConfig) -> int:
    """Width of one head, in the dense architecture and ever after."""
    return config.hidden_size // config.num_attention_heads


def max_positions_of(config: PretrainedConfig) -> int:
    """The longest sequence, in tokens, that the model has positions for."""
    return config.max_position_embeddings - anatomy_of(config).position_offset
