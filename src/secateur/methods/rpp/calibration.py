"""From the sparsity that is wanted to γ, by the law that shrinking weights follow where the data leave them alone.

Between two reweightings a step of learning rate λ moves a weight by γ λ / |w|, where w is what it was at the last one.
Followed backwards from 0 through all steps that are left, that gives the largest weight that is still zeroed, the
boundary: √γ · reach. With a reweighting after every step, reach² = 2 Σ λ; with none after the first, Σ λ. Without
reweighting a step moves every weight by γ λ, and the boundary is γ · Σ λ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from secateur.methods.rounding import rounded_up


def gamma_for(boundary: float, step_sizes: Sequence[float], *, every: int | None) -> float:
    """The γ that zeroes weights up to ``boundary`` in steps of these learning rates, the next one first.

    Args:
        boundary: in the weights' unit, 0 or more.
        every: steps from one reweighting to the next, the first of them now; None for none at all, α = 1.
    """
    total = math.fsum(step_sizes)
    if boundary == 0 or total == 0:
        return 0.0
    return boundary / total if every is None else (boundary / reach(step_sizes, every=every)) ** 2


def zeroed_by(gamma: float, sizes: Sequence[Tensor], step_sizes: Sequence[float], *, every: int | None) -> float:
    """The fraction of ``sizes`` that this γ zeroes in steps of these learning rates: the law the other way round."""
    boundary = gamma * math.fsum(step_sizes) if every is None else math.sqrt(gamma) * reach(step_sizes, every=every)
    return sum(int((size <= boundary).sum()) for size in sizes) / sum(size.numel() for size in sizes)


def reach(step_sizes: Sequence[float], *, every: int) -> float:
    """The boundary for γ = 1."""
    boundary = 0.0
    for begin in reversed(range(0, len(step_sizes), every)):
        # A weight u that is w at the next reweighting solves u - Σλ / u = w.
        moved = math.fsum(step_sizes[begin : begin + every])
        boundary = (boundary + math.sqrt(boundary**2 + 4 * moved)) / 2
    return boundary


def boundary_for(sizes: Sequence[Tensor], *, sparsity: float) -> float:
    """The largest of the smallest ``sparsity`` of all ``sizes``, which are 0 or more."""
    size_N = torch.cat([size.flatten() for size in sizes])
    count = rounded_up(sparsity, len(size_N))
    return size_N.kthvalue(count).values.item() if count else 0.0
