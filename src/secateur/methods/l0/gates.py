"""Trainable gates: one α for each head and each FFN unit of a model.

McCarley et al., arXiv 1910.06360v3, section 3.2, item 4; the distribution is that of Louizos et al., arXiv 1712.01312.

Shapes: H heads of a layer, U units of a layer, N gates of a kind in all layers, K kinds of gates that are trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from secateur.methods.l0.amount import KINDS
from secateur.methods.l0.hard_concrete import HardConcrete
from secateur.structure.gates import PerGate


class HardConcreteGates(nn.Module):
    """One α for each gate of the kinds that are trained, ``alpha_N`` (N,) per kind; the other kind's gates stay open.

    Args:
        heads, units: numbers H and U of each layer.
        kinds: "heads", "units" or both.
        distribution: the distribution of a gate, given its α.
        alpha: mean of the initial α.
        spread: standard deviation of the initial α.
        limit: |α| is kept within it, because a gate that is closed with certainty gets no gradient to open again.
    """

    def __init__(
        self,
        *,
        heads: Sequence[int],
        units: Sequence[int],
        kinds: Sequence[str],
        distribution: HardConcrete,
        alpha: float,
        spread: float,
        limit: float,
    ) -> None:
        super().__init__()
        self.sizes = {"heads": list(heads), "units": list(units)}
        self.distribution = distribution
        self.limit = limit
        self.alpha_N = nn.ParameterDict(
            {kind: nn.Parameter(alpha + spread * torch.randn(sum(self.sizes[kind]))) for kind in kinds}
        )

    @property
    def kinds(self) -> list[str]:
        """The kinds that are trained, in order."""
        return list(self.alpha_N)

    def sample(self) -> PerGate:
        """One sample of every gate, differentiable in α: (H,) and (U,) for each layer, in [0, 1]."""
        return self._per_gate({kind: self.distribution.sample(alpha) for kind, alpha in self.alpha_N.items()})

    def deterministic(self) -> PerGate:
        """The gates at test time: (H,) and (U,) for each layer, in [0, 1]."""
        return self._per_gate({kind: self.distribution.deterministic(alpha) for kind, alpha in self.alpha_N.items()})

    def importance(self) -> PerGate:
        """The gates at test time before clamping, ordered as α: (H,) and (U,) for each layer; closed at 0 and below."""
        found = {kind: self.distribution.stretched(alpha).detach() for kind, alpha in self.alpha_N.items()}
        return self._per_gate(found)

    def open_fraction(self) -> Tensor:
        """Expected fraction of open gates of each trained kind, (K,)."""
        return torch.stack([self.distribution.open_probability(alpha).mean() for alpha in self.alpha_N.values()])

    @torch.no_grad()
    def clamp_(self) -> None:
        """Clamp every α to the limit, in place."""
        for alpha in self.alpha_N.values():
            alpha.clamp_(-self.limit, self.limit)

    def _per_gate(self, values: dict[str, Tensor]) -> PerGate:
        device = next(self.parameters()).device
        split = {
            kind: (values[kind] if kind in values else torch.ones(sum(self.sizes[kind]), device=device)).split(
                self.sizes[kind]
            )
            for kind in KINDS
        }
        return PerGate(**split)
