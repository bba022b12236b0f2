"""From importance to gates: closes the least important heads and FFN units.

Shapes: H heads of a layer, U FFN units of a layer, N gates of a kind in all layers.
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
    """Close the gates of the least important heads and units, ranked over all layers together.

    Args:
        sparsity: in [0, 1); the same fraction of heads and of units, or with ``split="joint"`` that fraction of the
            weights of both together.
        heads, units: instead of ``sparsity``, the fraction of each; a kind that is not given stays complete.
        split: "separate" ranks heads among heads and units among units; "joint" ranks both together.
        threshold: instead of an amount, close every gate whose importance is at most this.
        min_heads_per_layer: this many heads of every layer stay, those that would be removed last.
        per_weight: whether "joint" ranks by importance per weight; gates that were trained under a price per weight
            need no such division.
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
            raise SecateurError(f"min_heads_per_layer={min_heads_per_layer}: needs split=separate")
        self.threshold = threshold
        self.per_weight = per_weight
        self.min_heads_per_layer = min_heads_per_layer
        self.joint = sparsity if split == "joint" else None
        self.heads = (heads or 0.0) if sparsity is None else sparsity
        self.units = (units or 0.0) if sparsity is None else sparsity
        if min_heads_per_layer and units is not None and heads is None:
            raise SecateurError(
                f"min_heads_per_layer={min_heads_per_layer}: has no effect if no heads are removed; set it to 0"
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
        """Check that enough heads can be removed.

        Raises:
            SecateurError: if ``min_heads_per_layer`` keeps too many.
        """
        asked = rounded_up(self.heads, sum(heads))
        free = sum(max(count - self.min_heads_per_layer, 0) for count in heads)
        if asked > free:
            raise SecateurError(
                f"min_heads_per_layer={self.min_heads_per_layer}: leaves {free} of {sum(heads)} heads to remove, fewer "
                f"than the {asked} requested; lower it or the amount"
            )


def close_separately(importance: PerGate, *, heads: float, units: float, min_heads_per_layer: int = 0) -> PerGate:
    """Close the least important fraction of heads and of units, ranked separately over all layers.

    Args:
        importance: (H,) and (U,) for each layer.
        heads, units: fractions to close, in [0, 1), each rounded up to a whole number.
        min_heads_per_layer: this many heads of every layer stay open.

    Returns:
        Gates of 0 or 1, in the shapes of ``importance``.
    """
    return PerGate(
        heads=_close_fraction(importance.heads, heads, keep=min_heads_per_layer),
        units=_close_fraction(importance.units, units),
    )


def close_below(importance: PerGate, threshold: float, *, min_heads_per_layer: int = 0) -> PerGate:
    """Close every gate whose importance is at most ``threshold`` (McCarley et al., arXiv 1910.06360, section 3.2).

    Args:
        importance: (H,) and (U,) for each layer.
        threshold: in the unit of the importance.
        min_heads_per_layer: this many heads of every layer stay open.

    Returns:
        Gates of 0 or 1, in the shapes of ``importance``.
    """
    return PerGate(
        heads=_close_below(importance.heads, threshold, keep=min_heads_per_layer),
        units=_close_below(importance.units, threshold),
    )


def close_jointly(
    importance: PerGate, *, fraction: float, weights_per_head: int, weights_per_unit: int, per_weight: bool = True
) -> PerGate:
    """Close the least important gates, ranking heads and units together, until ``fraction`` of the weights is closed.

    Args:
        importance: (H,) and (U,) for each layer.
        fraction: fraction of the weights of all heads and units, in [0, 1).
        weights_per_head, weights_per_unit: weights of one head and of one unit; see :func:`weights_per_gate`.
        per_weight: rank by importance per weight rather than by importance.

    Returns:
        Gates of 0 or 1, in the shapes of ``importance``.
    """
    layers = [*importance.heads, *importance.units]
    weights = [weights_per_head] * len(importance.heads) + [weights_per_unit] * len(importance.units)
    divisors = weights if per_weight else [1] * len(weights)
    score = torch.cat([layer / divisor for layer, divisor in zip(layers, divisors, strict=True)])
    weight = torch.cat([torch.full_like(layer, each) for layer, each in zip(layers, weights, strict=True)])
    order = score.argsort(stable=True)
    removed = weight[order].double().cumsum(0)
    asked = fraction * removed[-1].item()
    # Gates are closed one by one until the sum of their weights is not below the request.
    count = int((removed < asked - BINARY_NOISE).sum()) + 1 if asked > 0 else 0
    gates = _zeroed(score, order[:count]).split([len(layer) for layer in layers])
    return PerGate(heads=gates[: len(importance.heads)], units=gates[len(importance.heads) :])


def weights_per_gate(config: PretrainedConfig) -> dict[str, int]:
    """The number of weights in the matrices of one head ("heads") and of one FFN unit ("units")."""
    return {"heads": 4 * config.hidden_size * head_size_of(config), "units": 2 * config.hidden_size}


def removal_order(layers: Sequence[Tensor], *, keep: int = 0) -> Tensor:
    """Indices into the concatenated gates of all layers, least important first; ties go by the lowest index.

    Args:
        layers: importance (H,) of each layer.
        keep: this many of the most important gates of each layer are left out.

    Returns:
        Indices, (N,) or fewer.
    """
    score_N = torch.cat(list(layers))
    order_N = score_N.argsort(stable=True)
    if keep == 0:
        return order_N
    stays_N = torch.cat([_is_among_best(layer, keep) for layer in layers])
    return order_N[~stays_N[order_N]]


def close(layers: Sequence[Tensor], indices: Tensor) -> tuple[Tensor, ...]:
    """Gates (H,) of each layer: 0 at ``indices`` into the concatenated gates of all layers, else 1."""
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
    """Check that the amount to remove is given in exactly one way and is in range.

    Args:
        sparsity, heads, units, split: as for :class:`Threshold`.
        otherwise: the alternatives to ``sparsity``, ``heads`` and ``units``, by the names of their settings.

    Raises:
        SecateurError: if no amount is given, two contradict each other, or a fraction is out of range.
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
            raise SecateurError(f"{name}={value}: cannot be combined with sparsity={sparsity}; set sparsity=null")
        if split == "joint":
            raise SecateurError(f"{name}={value}: needs split=separate; with split=joint, set sparsity")
    for name, value in others.items():
        if own:
            raise SecateurError(f"{name}={value}: cannot be combined with {' and '.join(own)}; give one or the other")
    if sparsity is None and not own and not others:
        ways = ", ".join(("heads", "units", *otherwise))
        raise SecateurError(
            f"sparsity=null: amount to remove not given; set sparsity, or what the method has of {ways}"
        )
