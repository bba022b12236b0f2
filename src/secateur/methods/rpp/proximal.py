"""The proximal step on weights: whatever the optimizer left below a threshold of its own becomes exactly 0.

All functions take lists of matrices and work on all of them in fused calls. Weights are float32: one step shrinks a
weight by less than bfloat16 can tell.
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
    """Soft threshold, in place: argmin over w of size · Σ α |w| + 1/2 · ||w - a||² for weights a.

    Args:
        alphas: the price of each weight.
        size: λ · γ, the optimizer's learning rate at this step times the penalty's strength, 0 or more.
        denominators: the metric in which the squared distance is taken, see :func:`adam_denominators`; None is the
            ordinary one.
    """
    if size == 0 or not weights:
        return
    for part in _parts(weights):
        thresholds = torch._foreach_mul(list(alphas[part]), size)
        if denominators is not None:
            torch._foreach_div_(thresholds, list(denominators[part]))
        soft_threshold(weights[part], thresholds)


def soft_threshold(weights: Sequence[Tensor], thresholds: Sequence[Tensor]) -> None:
    """Move each weight towards 0 by its threshold, in place, and no farther; ``thresholds`` are used up."""
    moves = torch._foreach_minimum(list(weights), list(thresholds))
    torch._foreach_neg_(list(thresholds))
    torch._foreach_maximum_(moves, list(thresholds))
    # A weight within its threshold is its own move, and w - w is 0 to the bit.
    torch._foreach_sub_(list(weights), moves)


@torch.no_grad()
def reweighted(weights: Sequence[Tensor], *, epsilon: float) -> list[Tensor]:
    """α = 1 / (|w| + ε): what is small already is dear, what is large is all but free (Guo et al., section 3)."""
    alphas = torch._foreach_abs(list(weights))
    torch._foreach_add_(alphas, epsilon)
    torch._foreach_reciprocal_(alphas)
    return list(alphas)


@torch.no_grad()
def adam_denominators(weights: Sequence[Tensor], optimizer: Optimizer) -> list[Tensor]:
    """√v̂ + ε of each weight, by which Adam divides its step: distance in Adam's own metric."""
    group = optimizer.param_groups[0]
    states = [optimizer.state[weight] for weight in weights]
    done = float(states[0]["step"])  # the same for all, and each look at it would wait for a GPU
    roots = torch._foreach_sqrt([state["exp_avg_sq"] for state in states])
    torch._foreach_mul_(roots, (1 - group["betas"][1] ** done) ** -0.5)
    torch._foreach_add_(roots, group["eps"])
    return list(roots)


def _parts(weights: Sequence[Tensor]) -> Iterator[slice]:
    count = _PART if weights[0].device.type == "cpu" else len(weights)
    return (slice(begin, begin + count) for begin in range(0, len(weights), count))
