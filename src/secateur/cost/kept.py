"""What keeping a document's states changes: nothing, up to rounding."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from secateur.cost.inputs import evaluating, random_inputs


def cache_difference(model: PreTrainedModel, *, lengths: Iterable[int]) -> float:
    """The largest difference of any output of a segmented ``model`` between documents kept and not, over all lengths.

    Args:
        lengths: tokens of question and document, random ones and without padding.
    """
    with evaluating(model), torch.no_grad():
        return max((_difference(model, length) for length in lengths), default=0.0)


def _difference(model: PreTrainedModel, length: int) -> float:
    read, kept = (random_inputs(model, length=length, batch_size=1, cached=cached) for cached in (False, True))
    kept["document_states"] = kept["document_states"].to(model.device)
    pairs = zip(model(**read).to_tuple(), model(**kept).to_tuple(), strict=True)
    return max((one - other).abs().max().item() for one, other in pairs)
