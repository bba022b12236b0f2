"""What keeping a document's states changes: nothing, up to rounding."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from secateur.cost.inputs import evaluating, random_inputs, with_padding
from secateur.structure.decomposition import encode


def cache_difference(model: PreTrainedModel, *, lengths: Iterable[int]) -> float:
    """The largest difference of any output of a segmented ``model`` between documents kept and not, over all lengths.

    Args:
        lengths: tokens of question and document, random ones; of two sequences one has half of a document.
    """
    with evaluating(model), torch.no_grad():
        return max((_difference(model, length) for length in lengths), default=0.0)


def _difference(model: PreTrainedModel, length: int) -> float:
    inputs = random_inputs(model, length=length, batch_size=2)
    ids, mask, begin = inputs["input_ids"], inputs["attention_mask"], inputs["question_length"]
    documents = with_padding(model, ids[..., begin:].flatten(0, -2))
    for whole, part in zip((ids, mask), documents, strict=True):
        whole[..., begin:] = part.view_as(whole[..., begin:])
    kept = {"input_ids": ids[..., :begin], "attention_mask": mask, "document_states": encode(model, *documents)}
    pairs = zip(model(**inputs).to_tuple(), model(**kept).to_tuple(), strict=True)
    return max((one - other).abs().max().item() for one, other in pairs)
