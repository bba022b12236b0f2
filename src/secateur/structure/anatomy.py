"""Anatomy: where an architecture keeps its layers, projections and heads.

Adding an architecture is adding one entry to ``ANATOMIES``.
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
    """Where things are, as dotted paths, and what they are called where that is not as in BERT.

    Attributes:
        layers: the ``ModuleList`` of encoder layers; from the base model, as ``embeddings`` is.
        embeddings: the module whose output becomes the first layer's input, in ELECTRA by way of a projection
            where the two differ in width.
        attention: the module that splits hidden states into heads; from one layer, as are all that follow.
        query, key, value: linear projections whose rows are laid out head by head.
        attention_output: linear projection whose input columns are laid out head by head.
        up, down: linear projections into and out of the FFN; a unit is a row of ``up`` and a column of ``down``.
        head_count, heads_width: attributes of ``attention``: its number of heads, and their width together.
        config_names: BERT's name of a setting -> the config's, for those that transformers does not map itself.
        config_values: settings that a model gets whatever its checkpoint says.
        has_linear_attention: the projections of attention are linear modules, as said above, whose heads can be gated
            and cut; otherwise bare tensors (width, heads, head size).
        positions: "absolute", or "relative": tokens know how far apart they are, of whatever length the input is.
        positions_follow_padding: positions count from the padding token's id + 1, not from 0.
        has_token_types: token types tell the second text from the first.
        ends_in_cls: [CLS] stands last, with a token type of its own, and inputs are padded at their start.
        length_first: layers take and give states (L, B, D), not (B, L, D).
        vocabulary: what is learnt from texts where there is no pretrained one, "wordpiece" or "unigram".
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
        """The six projections of a layer, whose weights are the encoder's matrices."""
        return (self.query, self.key, self.value, self.attention_output, self.up, self.down)

    @property
    def matrices(self) -> dict[str, str]:
        """What the weights of the projections are called, from one layer."""
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
        "hidden_dropout_prob": "dropout",  # attention has no other
    },
    # Memories serve texts that go on from batch to batch.
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
    """Refuse an architecture whose attention is no linear modules, which few methods and no export can deal with.

    Raises:
        SecateurError: naming ``key``, which asks for that, and the architectures that it takes.
    """
    if not anatomy_of(config).has_linear_attention:
        others = ", ".join(sorted(name for name, anatomy in ANATOMIES.items() if anatomy.has_linear_attention))
        raise SecateurError(f"{key}: takes no model_type={config.model_type}; it takes {others}")


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The encoder's layers, first to last."""
    layers = model.base_model.get_submodule(anatomy_of(model.config).layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def head_size_of(config: PretrainedConfig) -> int:
    """Width of one head, in the dense architecture and ever after."""
    return config.hidden_size // config.num_attention_heads


def max_positions_of(config: PretrainedConfig) -> int:
    """The longest sequence, in tokens, that the model has positions for; any where they are relative."""
    if anatomy_of(config).positions == "relative":
        return sys.maxsize
    unused = config.pad_token_id + 1 if anatomy_of(config).positions_follow_padding else 0
    return config.max_position_embeddings - unused


def takes_token_types(config: PretrainedConfig) -> bool:
    """Whether a pair's second text is to have token type 1; RoBERTa's stays 0, whatever its table has room for."""
    # XLNet compares types, and needs no table of them.
    return anatomy_of(config).has_token_types and getattr(config, "type_vocab_size", 2) > 1
