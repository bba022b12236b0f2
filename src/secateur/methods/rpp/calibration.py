"""Calibrating γ for a target sparsity, by a law that shrinking weights follow if the data gradient is ignored.

The law relates γ to the boundary b, the largest |w| at the start that the remaining steps still zero:

    reweighted:    b = √γ · R,    so γ = (q_s / R)²
    unweighted:    b = γ · Σ_k λ_k,    so γ = q_s / Σ_k λ_k

The reach R follows from the reweighted shrinkage, by which a step moves |w| by γ λ_k / |v|, where v is the weight at
the last reweighting (ε is neglected). Followed backwards from 0 through the reweighting periods j = 1 … J:

    r_J = 0,    r_(j-1) = (r_j + √(r_j² + 4 Λ_j)) / 2,    R = r_0

With a reweighting in every step R² ≈ 2 Σ_k λ_k; with a single one, before the first step, R² = Σ_k λ_k.

Symbols:
    γ: strength of the penalty.
    λ_k: learning rate of step k, the remaining steps only.
    Λ_j: sum of the learning rates in period j, from one reweighting to the next.
    s, q_s: target sparsity, and the s-quantile of |w|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from secateur.methods.rounding import rounded_up


def gamma_for(boundary: float, step_sizes: Sequence[float], *, every: int | None) -> float:
    """The γ that zeroes weights up to ``boundary`` in the remaining steps.

    Args:
        boundary: b, in the weights' unit, 0 or more.
        step_sizes: learning rates λ_k of the remaining steps, the next one first.
        every: steps from one reweighting to the next, the first one now; None for no reweighting (α = 1).
    """
    total = math.fsum(step_sizes)
    if boundary == 0 or total == 0:
        return 0.0
    return boundary / total if every is None else (boundary / reach(step_sizes, every=every)) ** 2


def zeroed_by(gamma: float, sizes: Sequence[Tensor], step_sizes: Sequence[float], *, every: int | None) -> float:
    """The fraction of ``sizes`` that γ zeroes in the remaining steps: the inverse of the law.

    Args:
        gamma: γ.
        sizes: |w| of each matrix, in any shape.
        step_sizes, every: as for :func:`gamma_for`.
    """
    boundary = gamma * math.fsum(step_sizes) if every is None else math.sqrt(gamma) * reach(step_sizes, every=every)
    return sum(int((size <= boundary).sum()) for size in sizes) / sum(size.numel() for size in sizes)


def reach(step_sizes: Sequence[float], *, every: int) -> float:
    """R, the boundary for γ = 1; arguments as for :func:`gamma_for`."""
    boundary = 0.0
    for begin in reversed(range(0, len(step_sizes), every)):
        # The weight r_(j-1) that becomes r_j by the next reweighting solves r_(j-1) - Λ_j / r_(j-1) = r_j.
        moved = math.fsum(step_sizes[begin : begin + every])
        boundary = (boundary + math.sqrt(boundary**2 + 4 * moved)) / 2
    return boundary


def boundary_for(sizes: Sequence[Tensor], *, sparsity: float) -> float:
    """q_s, the largest of the smallest ``sparsity`` of all ``sizes``; 0 if there are none.

    Args:
        sizes: |w| of each matrix, in any shape.
        sparsity: s, in [0, 1).
    """
    size_N = torch.cat([size.flatten() for size in sizes])
    count = rounded_up(sparsity, len(size_N))
    return size_N.kthvalue(count).values.item() if count else 0.0
