"""From importance to gates: the least important heads and FFN units are closed, up to the amount asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.structure.anatomy import head_size_of
from secateur.structure.gates import PerGate

SPLITS = ("separate", "joint")

# 0.07 · 100 is a little above 7 in binary; the smallest whole number *not below the request* is still 7.
_BINARY_NOISE = 1e-6


class Threshold(Step):
    """Close the gates of the least important, ranked over all layers together.

    Args:
        sparsity: in [0, 1); the same fraction of heads and of units, or with ``split="joint"`` that fraction of
            the weights that both make up.
        heads, units: instead of ``sparsity``, a fraction of each alone; one left out stays whole.
        split: "separate" ranks heads among heads and units among units; "joint" ranks both by score per weight.
    """

    changes_model = False

    def __init__(
        self,
        *,
        sparsity: float | None,
        heads: float | None = None,
        units: float | None = None,
        split: str = "separate",
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        _check_amounts(sparsity=sparsity, heads=heads, units=units, split=split)
        self.joint = sparsity if split == "joint" else None
        self.heads = (heads or 0.0) if sparsity is None else sparsity
        self.units = (units or 0.0) if sparsity is None else sparsity

    def run(self, state: State, context: Context) -> State:
        """Rank and close.

        Raises:
            SecateurError: if no earlier step has scored anything.
        """
        if state.importance is None:
            raise SecateurError("method.order: threshold needs importance; put a step that scores before it")
        if self.joint is None:
            gates = close_separately(state.importance, heads=self.heads, units=self.units)
        else:
            config = state.model.config
            gates = close_jointly(
                state.importance,
                fraction=self.joint,
                weights_per_head=4 * config.hidden_size * head_size_of(config),
                weights_per_unit=2 * config.hidden_size,
            )
        return dataclasses.replace(state, gates=gates)


def close_separately(importance: PerGate, *, heads: float, units: float) -> PerGate:
    """Close the least important fraction of heads and of units, each rounded up to a whole number."""
    return PerGate(heads=_close(importance.heads, heads), units=_close(importance.units, units))


def close_jointly(importance: PerGate, *, fraction: float, weights_per_head: int, weights_per_unit: int) -> PerGate:
    """Close whatever is worth least per weight, until at least ``fraction`` of the gated weights are closed."""
    layers = [*importance.heads, *importance.units]
    weights = [weights_per_head] * len(importance.heads) + [weights_per_unit] * len(importance.units)
    score = torch.cat([layer / weight for layer, weight in zip(layers, weights, strict=True)])
    weight = torch.cat([torch.full_like(layer, each) for layer, each in zip(layers, weights, strict=True)])
    order = score.argsort(stable=True)
    removed = weight[order].double().cumsum(0)
    asked = fraction * removed[-1].item()
    # Closing starts one by one and stops at the first sum that is not below the request.
    count = int((removed < asked - _BINARY_NOISE).sum()) + 1 if asked > 0 else 0
    gates = _zeroed(score, order[:count]).split([len(layer) for layer in layers])
    return PerGate(heads=gates[: len(importance.heads)], units=gates[len(importance.heads) :])


def _close(layers: Sequence[Tensor], fraction: float) -> tuple[Tensor, ...]:
    score = torch.cat(list(layers))
    count = math.ceil(fraction * len(score) - _BINARY_NOISE)
    gates = _zeroed(score, score.argsort(stable=True)[:count])
    return gates.split([len(layer) for layer in layers])


def _zeroed(like: Tensor, indices: Tensor) -> Tensor:
    gates = torch.ones_like(like)
    gates[indices] = 0.0
    return gates


def _check_amounts(*, sparsity: float | None, heads: float | None, units: float | None, split: str) -> None:
    if split not in SPLITS:
        raise SecateurError(f"split={split}: must be one of {', '.join(SPLITS)}")
    own = {"heads": heads, "units": units}
    for name, fraction in {"sparsity": sparsity, **own}.items():
        if fraction is not None and not 0 <= fraction < 1:
            raise SecateurError(f"{name}={fraction}: must lie in [0, 1)")
    for name, fraction in own.items():
        if fraction is not None and sparsity is not None:
            raise SecateurError(f"{name}={fraction}: goes with sparsity=null, not with sparsity={sparsity}")
        if fraction is not None and split == "joint":
            raise SecateurError(f"{name}={fraction}: goes with split=separate; split=joint takes sparsity")
    if sparsity is None and heads is None and units is None:
        raise SecateurError("sparsity=null: say how much is to go, by sparsity, method.heads or method.units")
