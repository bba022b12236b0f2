"""The cost of open gates: a fixed price, or as much as is needed to reach a target.

Shapes: K kinds of gates (heads, units), C constraints. ``open_K`` is the expected fraction of open gates of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Price(nn.Module):
    """λ · E[number of open gates] of McCarley et al., eq. 3, that is Λ nats if all gates of a kind are open.

    The expectation counts P(gate ≠ 0), as in Louizos et al.; the paper's eq. 3 reads as P(gate = 1).

    Args:
        nats: Λ of each kind, K values.
    """

    nats_K: Tensor

    def __init__(self, nats: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("nats_K", torch.tensor(nats), persistent=False)

    def forward(self, open_K: Tensor, *, progress: float) -> Tensor:
        """The cost in nats, a scalar."""
        return (self.nats_K * open_K).sum()

    def update(self, open_K: Tensor, *, progress: float, learning_rate: float) -> None:
        """Do nothing: a price is constant."""

    def describe(self) -> dict[str, Any]:
        """No entries: the settings describe a price completely."""
        return {}


class Target(nn.Module):
    """An augmented Lagrangian: each constraint's multiplier grows until its fraction of gates is closed.

    With v = target - closed fraction, the loss is μ · v + ρ/2 · v² (Hestenes 1969; Powell 1969), where the multiplier
    takes over the penalty's force once the inner problem is solved: μ ← μ + ρ · v. Here, gates and μ are updated
    together, and Adam moves an α by about its learning rate per step. After each optimizer step, μ therefore rises by
    η · ρ · v · learning rate: this adds up to η · ρ · v while an α can move by 1, whatever the length of the phase and
    the learning rate of its gates. ρ damps overshooting. The target grows linearly from 0, so that gates close in
    increasing order of importance.

    Args:
        targets: the fraction of gates to close for each constraint, C values.
        shares: (C, K), the weight of each kind in each constraint; rows sum to 1.
        weight: ρ in nats, 0 or more.
        multiplier_rate: η, above 0.
        warmup_ratio: share of the phase in which the target grows.
    """

    target_C: Tensor
    share_CK: Tensor
    multiplier_C: Tensor

    def __init__(
        self,
        targets: Sequence[float],
        *,
        shares: Sequence[Sequence[float]],
        weight: float,
        multiplier_rate: float,
        warmup_ratio: float,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.multiplier_rate = multiplier_rate
        self.warmup_ratio = warmup_ratio
        self.register_buffer("target_C", torch.tensor(targets), persistent=False)
        self.register_buffer("share_CK", torch.tensor(shares), persistent=False)
        self.register_buffer("multiplier_C", torch.zeros(len(targets)))

    def forward(self, open_K: Tensor, *, progress: float) -> Tensor:
        """The loss in nats, a scalar; negative if more is closed than wanted."""
        violation_C = self._violation(open_K, progress=progress)
        return (self.multiplier_C * violation_C + self.weight / 2 * violation_C.square()).sum()

    @torch.no_grad()
    def update(self, open_K: Tensor, *, progress: float, learning_rate: float) -> None:
        """One step of the multipliers, after a step of the gates with Adam's ``learning_rate``."""
        force_C = self.weight * self._violation(open_K, progress=progress)
        self.multiplier_C += self.multiplier_rate * learning_rate * force_C

    @torch.no_grad()
    def missed(self, open_K: Tensor) -> float:
        """Final target minus closed fraction, for the constraint that is farthest off."""
        return max(self._violation(open_K, progress=1.0).tolist(), key=abs)

    def describe(self) -> dict[str, Any]:
        """The multipliers, in nats."""
        return {"multipliers": self.multiplier_C.tolist()}

    def _violation(self, open_K: Tensor, *, progress: float) -> Tensor:
        grown = 1.0 if self.warmup_ratio == 0 else min(1.0, progress / self.warmup_ratio)
        # Not a matrix product, which autocast would compute in bfloat16: targets are met to within a few thousandths.
        return grown * self.target_C - (1 - (self.share_CK * open_K).sum(-1))
