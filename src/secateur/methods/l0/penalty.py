"""What open gates cost: a fixed price, or as much as it takes to reach a target.

Shapes: K kinds of gates (heads, units), C constraints. ``open_K`` is the expected fraction of open gates of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Price(nn.Module):
    """Λ nats for all gates of a kind: λ · E[number of open gates] of McCarley et al., eq. 3.

    The expectation counts P(gate ≠ 0), as Louizos et al. do; the paper's eq. 3 reads as P(gate = 1).
    """

    nats_K: Tensor

    def __init__(self, nats: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("nats_K", torch.tensor(nats), persistent=False)

    def forward(self, open_K: Tensor, *, progress: float) -> Tensor:
        """Nats."""
        return (self.nats_K * open_K).sum()

    def update(self, open_K: Tensor, *, progress: float, learning_rate: float) -> None:
        """A price stays as it is."""

    def describe(self) -> dict[str, Any]:
        """Nothing that the settings do not say."""
        return {}


class Target(nn.Module):
    """An augmented Lagrangian: each constraint's multiplier grows until its fraction of gates is closed.

    With v = target - closed fraction, the loss is μ · v + ρ/2 · v² (Hestenes 1969; Powell 1969), whose multiplier takes
    the penalty's force over once the inner problem is solved: μ ← μ + ρ · v. Here gates and μ move together, and Adam
    moves an α by about its learning rate in a step: so after each optimizer step μ rises by η · ρ · v · learning rate,
    which is η · ρ · v while an α can travel by 1, however long the phase is and however fast its gates are. ρ damps
    what would overshoot. The target grows linearly from 0: gates close in the order in which they can be spared.

    Args:
        targets: the fraction that each constraint wants closed.
        shares: (C, K), what the kinds weigh in each constraint; rows sum to 1.
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
        """Nats, negative where more is closed than is wanted."""
        violation_C = self._violation(open_K, progress=progress)
        return (self.multiplier_C * violation_C + self.weight / 2 * violation_C.square()).sum()

    @torch.no_grad()
    def update(self, open_K: Tensor, *, progress: float, learning_rate: float) -> None:
        """One step of the multipliers, after one of the gates with Adam's ``learning_rate``."""
        force_C = self.weight * self._violation(open_K, progress=progress)
        self.multiplier_C += self.multiplier_rate * learning_rate * force_C

    @torch.no_grad()
    def missed(self, open_K: Tensor) -> float:
        """The fraction wanted in the end less the one closed, of the constraint that is farthest off."""
        return max(self._violation(open_K, progress=1.0).tolist(), key=abs)

    def describe(self) -> dict[str, Any]:
        """The multipliers, in nats."""
        return {"multipliers": self.multiplier_C.tolist()}

    def _violation(self, open_K: Tensor, *, progress: float) -> Tensor:
        grown = 1.0 if self.warmup_ratio == 0 else min(1.0, progress / self.warmup_ratio)
        # Not a matrix product, which autocast would do in bfloat16: a target is met to some thousandths.
        return grown * self.target_C - (1 - (self.share_CK * open_K).sum(-1))
