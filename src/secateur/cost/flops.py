"""Floating-point operations of one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from secateur.cost.inputs import evaluating, random_inputs


def count_flops(model: PreTrainedModel, *, length: int, batch_size: int = 1) -> int:
    """FLOPs of one forward pass over ``batch_size`` sequences of ``length`` tokens, its task head included.

    Counted are matrix products, a multiplication and an addition being two FLOPs. Look-ups, LayerNorm,
    softmax, activations and biases are not. Zeroed weights count in full: a dense kernel multiplies by them
    all the same.

    Raises:
        SecateurError: if ``length`` exceeds the model's positions.
    """
    inputs = random_inputs(model, length=length, batch_size=batch_size)
    counter = FlopCounterMode(display=False)
    with evaluating(model), _eager_attention(model), torch.no_grad(), counter:
        model(**inputs)
    return counter.get_total_flops()


@contextmanager
def _eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Attention as plain matrix products: the counter has no formula for the fused kernel of the CPU."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
