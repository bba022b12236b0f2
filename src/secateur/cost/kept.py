"""The effect of keeping a document's states on a model's outputs: none, up to rounding."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from secateur.cost.inputs import random_inputs, with_padding
from secateur.structure.decomposition import encode
from secateur.structure.modes import evaluating
from secateur.structure.shape import segments_of


def cache_difference(model: PreTrainedModel, *, lengths: Iterable[int]) -> float:
    """The largest difference in any output of a segmented ``model`` with and without kept states, over all lengths.

    Args:
        model: a model that reads question and document separately.
        lengths: of question and document together, in random tokens; in one of two sequences, half of each is padding.
    """
    with evaluating(model), torch.no_grad():
        return max((_difference(model, length) for length in lengths), default=0.0)


def _difference(model: PreTrainedModel, length: int) -> float:
    inputs = random_inputs(model, length=length, batch_size=2)
    ids, begin = inputs["input_ids"], inputs["question_length"]
    # XLNet's question is padded at its start.
    at_start = (segments_of(model.config) or {}).get("ends_in_cls", False)
    questions = with_padding(model, ids[..., :begin].flatten(0, -2), at_start=at_start)
    documents = with_padding(model, ids[..., begin:].flatten(0, -2))
    both, mask = (torch.cat(pair, dim=-1).view_as(ids) for pair in zip(questions, documents, strict=True))
    whole = {"input_ids": both, "attention_mask": mask, "question_length": begin}
    kept = {"input_ids": both[..., :begin], "attention_mask": mask, "document_states": encode(model, *documents)}
    pairs = zip(model(**whole).to_tuple(), model(**kept).to_tuple(), strict=True)
    return max((one - other).abs().max().item() for one, other in pairs)
