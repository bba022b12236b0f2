"""Floating-point operations of one forward pass."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from secateur.cost.inputs import random_inputs
from secateur.structure.modes import eager_attention, evaluating


def count_flops(model: PreTrainedModel, *, length: int, batch_size: int = 1, cached: bool = False) -> int:
    """FLOPs of one forward pass over ``batch_size`` sequences of ``length`` tokens, its task head included.

    Matrix products are counted, with a multiplication and an addition as two FLOPs. Look-ups, LayerNorm, softmax,
    activations and biases are not. Zeroed weights count in full, since a dense kernel multiplies by them anyway. With
    ``cached``, the states of the document are given, and only the cost of a question is counted.

    Raises:
        SecateurError: if ``length`` exceeds the model's positions.
    """
    inputs = random_inputs(model, length=length, batch_size=batch_size, cached=cached)
    counter = FlopCounterMode(display=False)
    # Eager, because the counter has no formula for the fused attention kernel of the CPU.
    with evaluating(model), eager_attention(model), torch.no_grad(), counter:
        model(**inputs)
    return counter.get_total_flops()
