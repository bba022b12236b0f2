"""Decomposition: question and document pass through a model's lower layers separately (DeFormer: Cao et al., ACL 2020,
arXiv 2005.00697).

A *segmented* model reads two slots, each padded separately: ``[CLS] question [SEP]`` and ``document [SEP]``, whose
positions restart. (XLNet's question ends in [CLS] and is padded at its start: its positions are distances, so there
must be no padding between the two.) Without lower layers it is a dense model with a different input layout; with k
lower layers, their output for a document can be cached and used for every question. ``config.json`` records how a model
reads its inputs, and everything that feeds models follows it.

In the lower layers, the tokens of a slot attend only to the unpadded tokens of the same slot; in the upper layers, the
tokens of both slots attend to all unpadded tokens.

Shapes: B sequences, Q tokens of the question's slot, D of the document's, L = Q + D, E features.
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
    """Make ``model`` read question and document separately in its first layers, in place; its weights do not change.

    Args:
        model: a packed model, or one that is already segmented.
        lower_layers: number of decomposed layers, k, from 0 to all; with 0 the slots are joined from the start.
        question_slot: tokens of the longest question, special tokens included.

    Returns:
        The same model; from now on it takes ``question_length`` in addition to its other inputs.

    Raises:
        SecateurError: if the model has fewer layers.
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
    """Reject a number of lower layers that a model of ``count`` layers does not have.

    Raises:
        SecateurError: naming the range.
    """
    if not 0 <= lower_layers <= count:
        raise SecateurError(f"lower_layers={lower_layers}: the model has {count} layers; give 0 to {count}")


def layout_of(config: PretrainedConfig) -> str:
    """The layout of a model's inputs: ``packed`` or ``segmented``."""
    return PACKED if segments_of(config) is None else SEGMENTED


def lower_layers_of(config: PretrainedConfig) -> int:
    """The number of layers in which question and document do not attend to each other."""
    segments = segments_of(config)
    return 0 if segments is None else int(segments["lower_layers"])


def question_slot_of(model: PreTrainedModel) -> int:
    """Tokens of the longest question, special tokens included.

    Raises:
        SecateurError: if the model reads packed inputs.
    """
    segments = segments_of(model.config)
    if segments is None:
        raise SecateurError(
            f"a {type(model).__name__} reads question and document packed, so documents cannot be cached; "
            "give the model of a run of method=deformer"
        )
    return int(segments["question_slot"])


def encode(model: PreTrainedModel, document_ids_BD: Tensor, attention_mask_BD: Tensor | None = None) -> Tensor:
    """Run the lower layers on documents; their output does not depend on the question.

    Args:
        model: a segmented model.
        document_ids_BD: ``document [SEP]`` with its padding, (B, D).
        attention_mask_BD: 1 at tokens, 0 at padding, (B, D); None: no padding.

    Returns:
        The states (B, D, E); those at padding are meaningless.

    Raises:
        SecateurError: if the model is not segmented, or the documents have no tokens.
    """
    if document_ids_BD.shape[-1] == 0:
        raise SecateurError("a document without tokens cannot be encoded; give at least [SEP]")
    return _segmented(model).encode(document_ids_BD, attention_mask_BD)


def answer(
    model: PreTrainedModel,
    question_ids_BQ: Tensor,
    document_states_BDE: Tensor,
    *,
    attention_mask_BL: Tensor | None = None,
    **inputs: Any,
) -> ModelOutput:
    """Answer questions about documents that :func:`encode` has processed.

    Args:
        model: a segmented model.
        question_ids_BQ: ``[CLS] question [SEP]`` with its padding, (B, Q), or one question (1, Q) for all documents.
        document_states_BDE: the states of the documents, (B, D, E), or of one document (1, D, E) for all questions.
        attention_mask_BL: 1 at tokens, 0 at padding, over both slots, (B, L); None: no padding.
        inputs: further inputs of the model, such as labels.

    Returns:
        The model's outputs over both slots, such as logits (B, L).

    Raises:
        SecateurError: if the model is not segmented.
    """
    return _segmented(model)(
        question_ids_BQ, attention_mask=attention_mask_BL, document_states=document_states_BDE, **inputs
    )


def _first_position(config: PretrainedConfig) -> int | None:
    """The index of a segment's first position; None if positions are relative."""
    anatomy = anatomy_of(config)
    if anatomy.positions == "relative":
        return None
    return config.pad_token_id + 1 if anatomy.positions_follow_padding else 0


def _segmented(model: PreTrainedModel) -> Any:
    if not isinstance(model, SegmentedMixin):
        raise SecateurError(f"a {type(model).__name__} reads question and document packed; call decompose() first")
    return cast(Any, model)
