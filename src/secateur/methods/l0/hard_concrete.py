"""The hard-concrete distribution: gates in [0, 1] that are exactly 0 or 1 with positive probability.

With u ~ U(0, 1), a gate z of location α, temperature β and limits γ < 0 and ζ > 1 is

    s = sigmoid((log u - log(1 - u) + α) / β),    z = clamp(s · (ζ - γ) + γ, 0, 1).

Louizos, Welling, Kingma, arXiv 1712.01312, section 2.2. McCarley et al. (arXiv 1910.06360, section 3.2, item 4) use it
without giving its constants; the defaults in the config are those of Louizos et al.

All functions are elementwise: α and gates are tensors (N,), or of any other shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.errors import SecateurError, check_above_zero

# Keeps the logarithms of a uniform draw finite.
_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class HardConcrete:
    """One distribution for each α, the location parameter of its gate.

    Attributes:
        beta: temperature β, above 0; the lower, the more often a sample is 0 or 1.
        lower, upper: limits γ < 0 and ζ > 1 to which samples in (0, 1) are stretched before clamping.
    """

    beta: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        check_above_zero(beta=self.beta)
        if self.lower >= 0:
            raise SecateurError(f"lower={self.lower}: must be below 0, or no gate can ever close")
        if self.upper <= 1:
            raise SecateurError(f"upper={self.upper}: must be above 1, or no gate can ever be fully open")

    def sample(self, alpha: Tensor) -> Tensor:
        """One gate for each α, in the same shape, from torch's global generator (eq. 10 to 12)."""
        uniform = torch.empty_like(alpha).uniform_(_EPSILON, 1 - _EPSILON)
        return self._stretch(((uniform.logit() + alpha) / self.beta).sigmoid()).clamp(0, 1)

    def deterministic(self, alpha: Tensor) -> Tensor:
        """The gate at test time (eq. 13)."""
        return self.stretched(alpha).clamp(0, 1)

    def stretched(self, alpha: Tensor) -> Tensor:
        """The gate at test time before clamping, in (γ, ζ): it ranks gates as α does."""
        return self._stretch(alpha.sigmoid())

    def open_probability(self, alpha: Tensor) -> Tensor:
        """P(z ≠ 0) = sigmoid(α - β · log(-γ / ζ)) (eq. 12, the complexity loss)."""
        return (alpha - self._shift).sigmoid()

    def alpha_of(self, open_probability: float) -> float:
        """The α whose gate is open with this probability, in (0, 1)."""
        return math.log(open_probability / (1 - open_probability)) + self._shift

    @property
    def _shift(self) -> float:
        return self.beta * math.log(-self.lower / self.upper)

    def _stretch(self, value: Tensor) -> Tensor:
        return value * (self.upper - self.lower) + self.lower
