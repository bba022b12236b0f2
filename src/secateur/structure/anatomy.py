"""Anatomy: where an architecture keeps its layers, projections and heads.

To add an architecture, add one entry to ``ANATOMIES``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from secateur.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Where a model's parts are, as dotted paths, and their names where these differ from BERT's.

    Attributes:
        layers: the ``ModuleList`` of encoder layers; relative to the base model, like ``embeddings``.
        embeddings: the module whose output becomes the first layer's input (in ELECTRA through a projection, if their
            widths differ).
        attention: the module that splits hidden states into heads; relative to a layer, like all that follow.
        query, key, value: linear projections whose rows are laid out head by head.
        attention_output: linear projection whose input columns are laid out head by head.
        up, down: linear projections into and out of the FFN; a unit is a row of ``up`` and a column of ``down``.
        head_count, heads_width: attributes of ``attention``: its number of heads, and their combined width.
        config_names: BERT's name of a setting -> the config's, for those that transformers does not map itself.
        config_values: settings that a model gets whatever its checkpoint says.
        has_linear_attention: the attention projections are linear modules, as described above, whose heads can be gated
            and removed; otherwise they are bare tensors (width, heads, head size).
        positions: "absolute", or "relative": positions are distances between tokens, for inputs of any length.
        positions_follow_padding: positions count from the padding token's id + 1, not from 0.
        has_token_types: token types distinguish the second text from the first.
        ends_in_cls: [CLS] comes last, with its own token type, and inputs are padded at the start.
        length_first: layers take and return states (L, B, D), not (B, L, D).
        vocabulary: the kind that is learnt if there is no pretrained one, "wordpiece" or "unigram".
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
    head_count: str = "num_attention_heads"
    heads_width: str = "all_head_size"
    config_names: Mapping[str, str] = field(default_factory=dict)
    config_values: Mapping[str, Any] = field(default_factory=dict)
    has_linear_attention: bool = True
    positions: str = "absolute"
    positions_follow_padding: bool = False
    has_token_types: bool = True
    ends_in_cls: bool = False
    length_first: bool = False
    vocabulary: str = "wordpiece"

    @property
    def projections(self) -> tuple[str, ...]:
        """Paths of a layer's six projections, whose weights are the encoder's matrices."""
        return (self.query, self.key, self.value, self.attention_output, self.up, self.down)

    @property
    def matrices(self) -> dict[str, str]:
        """Projection path -> name of its weight, relative to a layer."""
        bare = () if self.has_linear_attention else self.projections[:4]
        return {path: path if path in bare else f"{path}.weight" for path in self.projections}


_BERT = Anatomy(
    layers="encoder.layer",
    embeddings="embeddings",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
)
_ROBERTA = replace(_BERT, positions_follow_padding=True, has_token_types=False)
_DISTILBERT = Anatomy(
    layers="transformer.layer",
    embeddings="embeddings",
    attention="attention",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    up="ffn.lin1",
    down="ffn.lin2",
    head_count="n_heads",
    heads_width="dim",
    config_names={
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
    has_token_types=False,
)
_XLNET = Anatomy(
    layers="layer",
    embeddings="word_embedding",
    attention="rel_attn",
    query="rel_attn.q",
    key="rel_attn.k",
    value="rel_attn.v",
    attention_output="rel_attn.o",
    up="ff.layer_1",
    down="ff.layer_2",
    head_count="n_head",
    heads_width="d_model",
    config_names={
        "intermediate_size": "d_inner",
        "hidden_act": "ff_activation",
        "hidden_dropout_prob": "dropout",  # also used in attention
    },
    # Memories are for texts that continue from batch to batch.
    config_values={"mem_len": None, "use_mems_eval": False, "use_mems_train": False},
    has_linear_attention=False,
    positions="relative",
    ends_in_cls=True,
    length_first=True,
    vocabulary="unigram",
)

ANATOMIES: dict[str, Anatomy] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "electra": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "xlnet": _XLNET,
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


def check_linear_attention(config: PretrainedConfig, *, key: str) -> None:
    """Reject an architecture whose attention projections are not linear modules; few methods and no export support it.

    Raises:
        SecateurError: naming ``key``, the setting that needs linear modules, and the supported architectures.
    """
    if not anatomy_of(config).has_linear_attention:
        others = ", ".join(sorted(name for name, anatomy in ANATOMIES.items() if anatomy.has_linear_attention))
        raise SecateurError(f"{key}: does not support model_type={config.model_type}; use one of {others}")


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers, first to last."""
    layers = model.base_model.get_submodule(anatomy_of(model.config).layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def head_size_of(config: PretrainedConfig) -> int:
    """Width of one head, which surgery does not change."""
    return config.hidden_size // config.num_attention_heads


def max_positions_of(config: PretrainedConfig) -> int:
    """The longest sequence, in tokens, that the model has positions for; unlimited if they are relative."""
    if anatomy_of(config).positions == "relative":
        return sys.maxsize
    unused = config.pad_token_id + 1 if anatomy_of(config).positions_follow_padding else 0
    return config.max_position_embeddings - unused


def takes_token_types(config: PretrainedConfig) -> bool:
    """Whether a pair's second text gets token type 1; RoBERTa's stays 0, whatever the size of its table."""
    # XLNet compares types and has no table of them.
    return anatomy_of(config).has_token_types and getattr(config, "type_vocab_size", 2) > 1
