"""Faster training on the CPU: dropout from raw random bytes, and an attention that works in the processor's cache.

On a CPU, ``bernoulli_`` costs as much as a matrix product, the sdpa kernel falls back to unfused passes over all
(query, key) pairs as soon as it has to drop some, and its backward pass is slow in bfloat16. All three are replaced
here from outside, through module classes and the attention registry of transformers; on other devices, in evaluation,
and in float32 without dropout, the stock implementations run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from secateur.speed.attention import use_training_attention
from secateur.speed.dropout import use_fast_dropout

__all__ = ["accelerate_training"]


@contextmanager
def accelerate_training(model: nn.Module) -> Iterator[None]:
    """Train ``model`` faster on the CPU inside this context; on exit every module and config is stock again.

    Results are the same except for which elements are dropped, and for p, which is rounded to 1/256 (0.1 becomes
    0.1016). Configs with ``eager`` attention are left alone, because there the attention probabilities are wanted.

    Args:
        model: a transformers model, or a module that contains one, on any device.
    """
    with use_fast_dropout(model), use_training_attention(model):
        yield
