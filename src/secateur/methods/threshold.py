"""From importance to gates: the least important heads and FFN units are closed.

Shapes: H heads of a layer, N gates of all layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PretrainedConfig

from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.methods.rounding import BINARY_NOISE, rounded_up
from secateur.structure.anatomy import head_size_of
from secateur.structure.gates import PerGate

SPLITS = ("separate", "joint")


class Threshold(Step):
    """Close the gates of the least important, ranked over all layers together.

    Args:
        sparsity: in [0, 1); the same fraction of heads and of units, or with ``split="joint"`` that fraction of
            the weights that both make up.
        heads, units: instead of ``sparsity``, a fraction of each alone; one left out stays whole.
        split: "separate" ranks heads among heads and units among units; "joint" ranks both together.
        per_weight: whether "joint" ranks by importance per weight; gates that were trained under a price per weight
            are ranked as they are.
        threshold: instead of an amount, close whatever is at most this important.
        min_heads_per_layer: this many heads of every layer stay, those that would go last.
    """

    changes_model = False
    needs = ("importance",)
    gives = ("importance", "gates")

    def __init__(
        self,
        *,
        sparsity: float | None,
        heads: float | None = None,
        units: float | None = None,
        split: str = "separate",
        threshold: float | None = None,
        min_heads_per_layer: int = 0,
        per_weight: bool = True,
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        check_amounts(sparsity=sparsity, heads=heads, units=units, split=split, otherwise={"threshold": threshold})
        if min_heads_per_layer < 0:
            raise SecateurError(f"min_heads_per_layer={min_heads_per_layer}: must be 0 or more")
        if min_heads_per_layer and split == "joint":
            raise SecateurError(f"min_heads_per_layer={min_heads_per_layer}: goes with split=separate")
        self.threshold = threshold
        self.per_weight = per_weight
        self.min_heads_per_layer = min_heads_per_layer
        self.joint = sparsity if split == "joint" else None
        self.heads = (heads or 0.0) if sparsity is None else sparsity
        self.units = (units or 0.0) if sparsity is None else sparsity
        if min_heads_per_layer and units is not None and heads is None:
            raise SecateurError(
                f"min_heads_per_layer={min_heads_per_layer}: has no effect where no heads go; set it to 0"
            )

    def run(self, state: State, context: Context) -> State:
        """Rank and close."""
        assert state.importance is not None
        if self.threshold is not None:
            gates = close_below(state.importance, self.threshold, min_heads_per_layer=self.min_heads_per_layer)
        elif self.joint is None:
            gates = close_separately(
                state.importance, heads=self.heads, units=self.units, min_heads_per_layer=self.min_heads_per_layer
            )
        else:
            weights = weights_per_gate(state.model.config)
            gates = close_jointly(
                state.importance,
                fraction=self.joint,
                weights_per_head=weights["heads"],
                weights_per_unit=weights["units"],
                per_weight=self.per_weight,
            )
        return dataclasses.replace(state, gates=gates)

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """There are enough heads to remove as many as asked for.

        Raises:
            SecateurError: if too many are to stay in every layer.
        """
        asked = rounded_up(self.heads, sum(heads))
        free = sum(max(count - self.min_heads_per_layer, 0) for count in heads)
        if asked > free:
            raise SecateurError(
                f"min_heads_per_layer={self.min_heads_per_layer}: leaves {free} of {sum(heads)} heads to remove, fewer "
                f"than the {asked} that are asked for; lower it or the amount"
            )


def close_separately(importance: PerGate, *, heads: float, units: float, min_heads_per_layer: int = 0) -> PerGate:
    """Close the least important fraction of heads and of units, each rounded up to a whole number."""
    return PerGate(
        heads=_close_fraction(importance.heads, heads, keep=min_heads_per_layer),
        units=_close_fraction(importance.units, units),
    )


def close_below(importance: PerGate, threshold: float, *, min_heads_per_layer: int = 0) -> PerGate:
    """Close every gate that is at most ``threshold`` important (McCarley et al., section 3.2)."""
    return PerGate(
        heads=_close_below(importance.heads, threshold, keep=min_heads_per_layer),
        units=_close_below(importance.units, threshold),
    )


def close_jointly(
    importance: PerGate, *, fraction: float, weights_per_head: int, weights_per_unit: int, per_weight: bool = True
) -> PerGate:
    """Close the least important, or what is least so per weight, until ``fraction`` of the gated weights are closed."""
    layers = [*importance.heads, *importance.units]
    weights = [weights_per_head] * len(importance.heads) + [weights_per_unit] * len(importance.units)
    divisors = weights if per_weight else [1] * len(weights)
    score = torch.cat([layer / divisor for layer, divisor in zip(layers, divisors, strict=True)])
    weight = torch.cat([torch.full_like(layer, each) for layer, each in zip(layers, weights, strict=True)])
    order = score.argsort(stable=True)
    removed = weight[order].double().cumsum(0)
    asked = fraction * removed[-1].item()
    # Closing starts one by one and stops at the first sum that is not below the request.
    count = int((removed < asked - BINARY_NOISE).sum()) + 1 if asked > 0 else 0
    gates = _zeroed(score, order[:count]).split([len(layer) for layer in layers])
    return PerGate(heads=gates[: len(importance.heads)], units=gates[len(importance.heads) :])


def weights_per_gate(config: PretrainedConfig) -> dict[str, int]:
    """Weights in the matrices of one head and of one FFN unit."""
    return {"heads": 4 * config.hidden_size * head_size_of(config), "units": 2 * config.hidden_size}


def removal_order(layers: Sequence[Tensor], *, keep: int = 0) -> Tensor:
    """Indices into the gates of all layers in a row: least important first, without a layer's ``keep`` best ones.

    Of equals the one with the lowest index goes first.
    """
    score_N = torch.cat(list(layers))
    order_N = score_N.argsort(stable=True)
    if keep == 0:
        return order_N
    stays_N = torch.cat([_is_among_best(layer, keep) for layer in layers])
    return order_N[~stays_N[order_N]]


def close(layers: Sequence[Tensor], indices: Tensor) -> tuple[Tensor, ...]:
    """Gates of 1, and of 0 at ``indices`` into all layers' gates, one layer after the other."""
    gates_N = _zeroed(torch.cat(list(layers)), indices)
    return gates_N.split([len(layer) for layer in layers])


def _close_fraction(layers: Sequence[Tensor], fraction: float, *, keep: int = 0) -> tuple[Tensor, ...]:
    return close(layers, removal_order(layers, keep=keep)[: rounded_up(fraction, sum(map(len, layers)))])


def _close_below(layers: Sequence[Tensor], threshold: float, *, keep: int = 0) -> tuple[Tensor, ...]:
    order = removal_order(layers, keep=keep)
    return close(layers, order[torch.cat(list(layers))[order] <= threshold])


def _is_among_best(score_H: Tensor, keep: int) -> Tensor:
    best = score_H.argsort(stable=True)[max(len(score_H) - keep, 0) :]
    return torch.ones_like(score_H).index_fill(0, best, 0.0) == 0


def _zeroed(like: Tensor, indices: Tensor) -> Tensor:
    gates = torch.ones_like(like)
    gates[indices] = 0.0
    return gates


def check_amounts(
    *,
    sparsity: float | None,
    heads: float | None,
    units: float | None,
    split: str,
    otherwise: Mapping[str, float | None],
) -> None:
    """One way of saying how much is to go, and a figure that makes sense.

    Args:
        otherwise: the ways beside ``sparsity``, ``heads`` and ``units``, by the names of their settings.

    Raises:
        SecateurError: if there is none, or two that contradict each other, or a fraction is out of range.
    """
    if split not in SPLITS:
        raise SecateurError(f"split={split}: must be one of {', '.join(SPLITS)}")
    own = {name: value for name, value in {"heads": heads, "units": units}.items() if value is not None}
    others = {name: value for name, value in otherwise.items() if value is not None}
    for name, fraction in {"sparsity": sparsity, **own}.items():
        if fraction is not None and not 0 <= fraction < 1:
            raise SecateurError(f"{name}={fraction}: must lie in [0, 1)")
    for name, value in {**own, **others}.items():
        if sparsity is not None:
            raise SecateurError(f"{name}={value}: goes with sparsity=null, not with sparsity={sparsity}")
        if split == "joint":
            raise SecateurError(f"{name}={value}: goes with split=separate; split=joint takes sparsity")
    for name, value in others.items():
        if own:
            raise SecateurError(f"{name}={value}: goes without {' and '.join(own)}; give one or the other")
    if sparsity is None and not own and not others:
        ways = ", ".join(("heads", "units", *otherwise))
        raise SecateurError(f"sparsity=null: say how much is to go, by sparsity, or by what the method has of {ways}")
