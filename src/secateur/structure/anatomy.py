"""Anatomy: where an architecture keeps its layers, projections and heads.

Adding an architecture is adding one entry to ``ANATOMIES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
        positions_follow_padding: positions count from the padding token's id + 1, not from 0.
        has_token_types: token types tell the second text from the first.
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
    positions_follow_padding: bool = False
    has_token_types: bool = True

    @property
    def projections(self) -> tuple[str, ...]:
        """The six linear projections of a layer, whose weights are the encoder's matrices."""
        return (self.query, self.key, self.value, self.attention_output, self.up, self.down)


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

ANATOMIES: dict[str, Anatomy] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "electra": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
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
    unused = config.pad_token_id + 1 if anatomy_of(config).positions_follow_padding else 0
    return config.max_position_embeddings - unused


def takes_token_types(config: PretrainedConfig) -> bool:
    """Whether a pair's second text is to have token type 1; RoBERTa's stays 0, whatever its table has room for."""
    return anatomy_of(config).has_token_types and config.type_vocab_size > 1
