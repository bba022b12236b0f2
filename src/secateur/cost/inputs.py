"""What the measurements share: the inputs on which a model is measured.

Shapes: B sequences in a batch, L tokens in each; multiple choice takes C choices for each example, here one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of, max_positions_of
from secateur.structure.decomposition import encode
from secateur.structure.modes import evaluating
from secateur.structure.shape import segments_of

SEED = 0


def fitting_lengths(lengths: Sequence[int], config: PretrainedConfig) -> list[int]:
    """Those of ``lengths`` that the model has positions for.

    Raises:
        SecateurError: if there are none.
    """
    most = max_positions_of(config)
    fitting = [length for length in lengths if length <= most]
    if not fitting:
        raise SecateurError(f"measure.lengths={list(lengths)}: the model has positions for {most} tokens; give fewer")
    return fitting


def random_inputs(model: PreTrainedModel, *, length: int, batch_size: int, cached: bool = False) -> dict[str, Any]:
    """Random tokens without padding, (B, L), on the model's device; equal for equal vocabularies and shapes.

    For a model that reads question and document separately, the question takes the model's question slot, but at most
    half of the tokens. With ``cached``, the document is given as its states: they are in CPU memory, so moving them to
    the model's device is part of the measurement.

    A multiple-choice model gets (B, 1, L), so that ``batch_size`` is the number of sequences for every task.

    Raises:
        SecateurError: if ``length`` exceeds the model's positions.
    """
    check_length(model, length)
    shape = (batch_size, 1, length) if is_multiple_choice(model) else (batch_size, length)
    vocabulary = model.config.vocab_size
    # Special tokens are in the first half of a vocabulary, and a padding id would shift RoBERTa's positions.
    generator = torch.Generator().manual_seed(SEED)
    ids_BL = torch.randint(vocabulary // 2, vocabulary, shape, generator=generator).to(model.device)
    inputs = {"input_ids": ids_BL, "attention_mask": torch.ones_like(ids_BL)}
    segments = segments_of(model.config)
    if segments is None:
        # XLNet compares types within attention, which costs time; others look them up, as zeros if none are given.
        compares_types = anatomy_of(model.config).positions == "relative"
        return {**inputs, "token_type_ids": torch.zeros_like(ids_BL)} if compares_types else inputs
    question_length = min(segments["question_slot"], -(-length // 2))
    if not cached:
        return {**inputs, "question_length": question_length}
    with evaluating(model):
        states = encode(model, ids_BL[..., question_length:].flatten(0, -2))
    return {**inputs, "input_ids": ids_BL[..., :question_length], "document_states": states.cpu()}


def with_padding(model: PreTrainedModel, ids_NL: Tensor, *, at_start: bool = False) -> tuple[Tensor, Tensor]:
    """Ids with every sequence but the first padded in its second half (first if ``at_start``), and the mask."""
    is_padding_NL = torch.zeros_like(ids_NL, dtype=torch.bool)
    is_padding_NL[1:, ids_NL.shape[1] // 2 + 1 :] = True
    if at_start:
        is_padding_NL = is_padding_NL.flip(1)
    return ids_NL.masked_fill(is_padding_NL, model.config.pad_token_id or 0), (~is_padding_NL).long()


def check_length(model: PreTrainedModel, length: int) -> None:
    """Refuse a length, in tokens, for which the model has too few positions.

    Raises:
        SecateurError: if it is not between 1 and the number of positions.
    """
    longest = max_positions_of(model.config)
    if not 0 < length <= longest:
        raise SecateurError(f"length={length} cannot be measured: the model takes 1 to {longest} tokens")


def is_multiple_choice(model: PreTrainedModel) -> bool:
    """Whether the model takes several sequences, its choices, for each example."""
    # The class name is what stock models and models loaded from an exported folder have in common.
    return type(model).__name__.endswith("ForMultipleChoice")
