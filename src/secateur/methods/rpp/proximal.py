"""The proximal step on weights: every weight within its threshold after the optimizer's step becomes exactly 0.

Reweighted proximal pruning (Guo et al., arXiv 1909.12486); the proximal operator of the weighted ℓ1 norm is soft
thresholding (Parikh and Boyd: Proximal Algorithms, 2014):

    w_i = sign(a_i) · max(|a_i| - τ_i, 0),    τ_i = λ γ α_i / d_i,    α_i = 1 / (|w_i| + ε)

Symbols:
    a_i: weight i after the optimizer's step.
    λ, γ: learning rate of the step, and strength of the penalty.
    α_i: price of weight i, from its value at the last reweighting.
    d_i: metric of the proximal step: 1, or Adam's denominator √v̂_i + ε_Adam.

All functions take lists of matrices (O, I) and process them in fused calls; prices, thresholds and denominators have
the shapes of their matrices. Weights must be float32: a step may shrink a weight by less than bfloat16 can represent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

# Matrices of one fused call on a CPU: as many as stay in its cache from one operation to the next.
_PART = 6


@torch.no_grad()
def proximal_step(
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    *,
    size: float,
    denominators: Sequence[Tensor] | None = None,
) -> None:
    """Replace weights a, in place, by argmin over w of size · Σ_i α_i |w_i| + 1/2 · Σ_i d_i (w_i - a_i)².

    Args:
        weights: matrices a, (O, I) each; updated in place.
        alphas: prices α, in the shapes of the matrices.
        size: λ · γ, the optimizer's learning rate at this step times the penalty's strength, 0 or more.
        denominators: d, the metric of the squared distance, see :func:`adam_denominators`; None: d = 1.
    """
    if size == 0 or not weights:
        return
    for part in _parts(weights):
        thresholds = torch._foreach_mul(list(alphas[part]), size)
        if denominators is not None:
            torch._foreach_div_(thresholds, list(denominators[part]))
        soft_threshold(weights[part], thresholds)


def soft_threshold(weights: Sequence[Tensor], thresholds: Sequence[Tensor]) -> None:
    """Move each weight towards 0 by its threshold, and no further than 0, in place.

    Args:
        weights: matrices (O, I); updated in place.
        thresholds: τ, 0 or more, in the shapes of the matrices; overwritten.
    """
    moves = torch._foreach_minimum(list(weights), list(thresholds))
    torch._foreach_neg_(list(thresholds))
    torch._foreach_maximum_(moves, list(thresholds))
    # A weight within its threshold moves by itself, and w - w is exactly 0.
    torch._foreach_sub_(list(weights), moves)


@torch.no_grad()
def reweighted(weights: Sequence[Tensor], *, epsilon: float) -> list[Tensor]:
    """α = 1 / (|w| + ε), in the shapes of ``weights`` (Guo et al.): the smaller a weight, the higher its price."""
    alphas = torch._foreach_abs(list(weights))
    torch._foreach_add_(alphas, epsilon)
    torch._foreach_reciprocal_(alphas)
    return list(alphas)


@torch.no_grad()
def adam_denominators(weights: Sequence[Tensor], optimizer: Optimizer) -> list[Tensor]:
    """√v̂ + ε_Adam, by which Adam divides each weight's step, in the shapes of ``weights``."""
    group = optimizer.param_groups[0]
    states = [optimizer.state[weight] for weight in weights]
    done = float(states[0]["step"])  # the same for all, and each read would wait for a GPU
    roots = torch._foreach_sqrt([state["exp_avg_sq"] for state in states])
    torch._foreach_mul_(roots, (1 - group["betas"][1] ** done) ** -0.5)
    torch._foreach_add_(roots, group["eps"])
    return list(roots)


def _parts(weights: Sequence[Tensor]) -> Iterator[slice]:
    count = _PART if weights[0].device.type == "cpu" else len(weights)
    return (slice(begin, begin + count) for begin in range(0, len(weights), count))
