"""Gates that are trained: one α for each head and each FFN unit of a model.

Shapes: H heads of a layer, U units of a layer, N gates of a kind in all layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from secateur.methods.l0.amount import KINDS
from secateur.methods.l0.hard_concrete import HardConcrete
from secateur.structure.gates import PerGate


class HardConcreteGates(nn.Module):
    """One α for each gate of the kinds that are trained; the other kind's gates stay open.

    Args:
        heads, units: how many each layer has.
        kinds: "heads", "units" or both.
        alpha: mean of the α to begin with; ``spread`` is their standard deviation.
        limit: |α| stays below it, since a gate that is surely closed gets no gradient to open again.
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
        """Those that are trained, in order."""
        return list(self.alpha_N)

    def sample(self) -> PerGate:
        """One draw of every gate, with a gradient to α."""
        return self._per_gate({kind: self.distribution.sample(alpha) for kind, alpha in self.alpha_N.items()})

    def deterministic(self) -> PerGate:
        """The gates at test time, in [0, 1]."""
        return self._per_gate({kind: self.distribution.deterministic(alpha) for kind, alpha in self.alpha_N.items()})

    def importance(self) -> PerGate:
        """The gates at test time before they are clamped: 0 and less is closed, and the order is that of α."""
        found = {kind: self.distribution.stretched(alpha).detach() for kind, alpha in self.alpha_N.items()}
        return self._per_gate(found)

    def open_fraction(self) -> Tensor:
        """Expected fraction of open gates of each kind that is trained, (K,)."""
        return torch.stack([self.distribution.open_probability(alpha).mean() for alpha in self.alpha_N.values()])

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring every α back within the limit."""
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
