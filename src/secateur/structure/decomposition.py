"""Decomposition: question and document go through a model's lower layers apart (DeFormer, arXiv 2005.00697).

A *segmented* model reads two slots, each padded on its own: ``[CLS] question [SEP]`` and ``document [SEP]``, whose
positions count anew. (XLNet's question ends in [CLS] and is padded at its start: its positions are distances, so no
padding may lie between the two.) With no lower layers it is a dense model of another input; with k of them, what they
make of a document can be kept and used for every question. How a model reads is written in its ``config.json``, and
everything that feeds models follows that.

Shapes: B sequences, Q tokens of the question's slot, D of the document's, E features.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from secateur.errors import SecateurError
from secateur.structure import modeling_secateur
from secateur.structure.anatomy import anatomy_of, layers_of, takes_token_types
from secateur.structure.modeling_secateur import SEGMENTED_PREFIX, SegmentedMixin, stock_name
from secateur.structure.shape import describe_structure, segments_of

PACKED, SEGMENTED = "packed", "segmented"


def decompose(model: PreTrainedModel, *, lower_layers: int, question_slot: int) -> PreTrainedModel:
    """Make ``model`` read question and document apart in its first layers, in place; its weights stay as they are.

    Args:
        model: a packed model, or one that is segmented already.
        lower_layers: how many layers, 0 to all; with 0 the slots are joined from the start.
        question_slot: tokens of the longest question, special tokens included.

    Returns:
        The same model; it takes ``question_length`` beside its other inputs from now on.

    Raises:
        SecateurError: if there are not so many layers.
    """
    check_lower_layers(lower_layers, count=len(layers_of(model)))
    config, anatomy = model.config, anatomy_of(model.config)
    segments = {
        "lower_layers": lower_layers,
        "question_slot": question_slot,
        "first_position": _first_position(config),
        "has_token_types": takes_token_types(config),
        **{name: True for name in ("ends_in_cls", "length_first") if getattr(anatomy, name)},
    }
    config.update(dict(anatomy.config_values))
    config.secateur = {**describe_structure(model), "segments": segments}
    model.__class__ = getattr(modeling_secateur, SEGMENTED_PREFIX + stock_name(type(model).__name__))
    return model


def check_lower_layers(lower_layers: int, *, count: int) -> None:
    """Refuse a number of layers that a model of ``count`` does not have.

    Raises:
        SecateurError: naming what it can be.
    """
    if not 0 <= lower_layers <= count:
        raise SecateurError(f"lower_layers={lower_layers}: the model has {count} layers; give 0 to {count}")


def layout_of(config: PretrainedConfig) -> str:
    """How a model's inputs are laid out: ``packed`` or ``segmented``."""
    return PACKED if segments_of(config) is None else SEGMENTED


def lower_layers_of(config: PretrainedConfig) -> int:
    """In how many layers question and document do not see each other."""
    segments = segments_of(config)
    return 0 if segments is None else int(segments["lower_layers"])


def question_slot_of(model: PreTrainedModel) -> int:
    """Tokens of the longest question, special tokens included.

    Raises:
        SecateurError: if the model reads question and document packed.
    """
    segments = segments_of(model.config)
    if segments is None:
        raise SecateurError(
            f"a {type(model).__name__} reads question and document packed, so nothing of a document can be kept; "
            "give the model of a run of method=deformer"
        )
    return int(segments["question_slot"])


def encode(model: PreTrainedModel, document_ids_BD: Tensor, attention_mask_BD: Tensor | None = None) -> Tensor:
    """What the lower layers make of documents (``document [SEP]``), whatever is asked of them: states (B, D, E).

    Raises:
        SecateurError: if the documents hold no token.
    """
    if document_ids_BD.shape[-1] == 0:
        raise SecateurError("a document without tokens cannot be encoded; it ends in [SEP] at least")
    return _segmented(model).encode(document_ids_BD, attention_mask_BD)


def answer(
    model: PreTrainedModel,
    question_ids_BQ: Tensor,
    document_states_BDE: Tensor,
    *,
    attention_mask_BL: Tensor | None = None,
    **inputs: Any,
) -> ModelOutput:
    """The model's outputs over both slots, L = Q + D, given the question and what :func:`encode` made of the document.

    Args:
        question_ids_BQ: ``[CLS] question [SEP]`` with its padding; one (1, Q) that is asked of all documents.
        document_states_BDE: of as many documents, or of one (1, D, E) that all questions are about.
        attention_mask_BL: 1 at tokens, 0 at padding, of both slots; None: no padding.
        inputs: others that the model takes, such as labels.
    """
    return _segmented(model)(
        question_ids_BQ, attention_mask=attention_mask_BL, document_states=document_states_BDE, **inputs
    )


def _first_position(config: PretrainedConfig) -> int | None:
    """The number of a segment's first position; None where positions have none."""
    anatomy = anatomy_of(config)
    if anatomy.positions == "relative":
        return None
    return config.pad_token_id + 1 if anatomy.positions_follow_padding else 0


def _segmented(model: PreTrainedModel) -> Any:
    if not isinstance(model, SegmentedMixin):
        raise SecateurError(f"a {type(model).__name__} reads question and document packed; decompose() it first")
    return cast(Any, model)
