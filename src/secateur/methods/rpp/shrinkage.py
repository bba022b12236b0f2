"""The proximal phase's work after each optimizer step: shrink the weights, and periodically reweight and update γ.

In optimizer step k, the proximal step shrinks each weight by its threshold (Guo et al., arXiv 1909.12486):

    w_i ← sign(a_i) · max(|a_i| - λ_k γ α_i / d_i, 0)

Every ``every`` steps, before shrinking, prices and γ are renewed:

    α_i = 1 / (|a_i| + ε) if reweighted, else 1,    γ by :mod:`secateur.methods.rpp.calibration` from s - 0.002

Symbols:
    a_i: weight i after the optimizer's step.
    λ_k: learning rate of step k.
    γ, α_i: strength of the penalty for a group of matrices, and price of a weight.
    d_i: 1, or √v̂_i + ε_Adam with ``scale="adam"``. The law then holds for |w_i| · √d_i (unweighted: |w_i| · d_i).
    s: target sparsity. The exact target is reached by zeroing the smallest remaining weights after the phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from secateur.errors import SecateurError, check_above_zero
from secateur.methods.rpp.calibration import boundary_for, gamma_for, zeroed_by
from secateur.methods.rpp.proximal import adam_denominators, proximal_step, reweighted

SCALES = ("scalar", "adam")

# γ aims this much below the target, which is then reached by zeroing the smallest remaining weights: zeros cannot be
# undone, and the law ignores the effect of the data on the weights.
_MARGIN = 0.002


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """How weights are shrunk.

    Attributes:
        sparsity: target fraction of zeros; determines γ, which is corrected at every reweighting.
        gamma: a fixed γ instead, above 0.
        reweight: α = 1 / (|w| + ε); False keeps α = 1, the ℓ1 norm.
        every: optimizer steps from one reweighting (and correction of γ) to the next, at least 1.
        epsilon: ε, above 0.
        scale: "scalar": a weight's threshold is λ γ α; "adam": it is divided by √v̂ + ε_Adam, like Adam's step.
    """

    sparsity: float | None
    gamma: float | None
    reweight: bool
    every: int
    epsilon: float
    scale: str

    def __post_init__(self) -> None:
        if self.sparsity is not None and self.gamma is not None:
            raise SecateurError(
                f"gamma={self.gamma}: cannot be combined with sparsity={self.sparsity}; set sparsity=null"
            )
        if self.sparsity is None and self.gamma is None:
            raise SecateurError("sparsity=null: amount to remove not given; set sparsity or method.gamma")
        if self.sparsity is not None and not 0 <= self.sparsity < 1:
            raise SecateurError(f"sparsity={self.sparsity}: must lie in [0, 1)")
        check_above_zero(gamma=self.gamma, epsilon=self.epsilon)
        if self.every < 1:
            raise SecateurError(f"reweight_every={self.every}: must be at least 1 optimizer step")
        if self.scale not in SCALES:
            raise SecateurError(f"prox_scale={self.scale}: must be one of {', '.join(SCALES)}")


@dataclass(kw_only=True)
class Shrinkage:
    """The penalty on groups of matrices, each group with its own γ. A checkpoint restores its state exactly.

    Attributes:
        penalty: the settings.
        groups: the matrices (O, I) of each group.
        alphas: prices, in the shapes of the matrices.
        gammas: the current γ of each group.
        first_gammas: the first γ of each group.
        predicted: the fraction of each group that a fixed γ will zero by the law; empty if γ follows from a target.
    """

    penalty: Penalty
    groups: list[list[Tensor]]
    alphas: list[list[Tensor]] = field(default_factory=list)
    gammas: list[float] = field(default_factory=list)
    first_gammas: list[float] = field(default_factory=list)
    predicted: list[float] = field(default_factory=list)

    def after_step(self, optimizer: Optimizer, *, step: int, step_sizes: Sequence[float]) -> None:
        """Shrink all weights.

        Args:
            optimizer: the optimizer that has just made its step.
            step: index of that step, from 0.
            step_sizes: learning rates λ_k of all steps of the phase.
        """
        metrics = [self._denominators(group, optimizer) for group in self.groups]
        if step % self.penalty.every == 0:
            self._renew(metrics, step_sizes[step:])
        for group, alphas, gamma, metric in zip(self.groups, self.alphas, self.gammas, metrics, strict=True):
            proximal_step(group, alphas, size=step_sizes[step] * gamma, denominators=metric)

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed phase needs."""
        names = ("alphas", "gammas", "first_gammas", "predicted")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state; :meth:`bring_to_weights` must follow."""
        self.alphas = state["alphas"]
        self.gammas, self.first_gammas = list(state["gammas"]), list(state["first_gammas"])
        self.predicted = list(state["predicted"])

    def bring_to_weights(self) -> None:
        """Move prices to the devices of their weights, which a trainer moves after reading its checkpoint."""
        self.alphas = [
            [alpha.to(weight.device) for alpha, weight in zip(alphas, group, strict=True)]
            for alphas, group in zip(self.alphas, self.groups, strict=False)  # no prices before the first step
        ]

    def _renew(self, metrics: Sequence[list[Tensor] | None], step_sizes: Sequence[float]) -> None:
        if self.penalty.reweight or not self.alphas:
            self.alphas = [self._prices(group) for group in self.groups]
        pairs = list(zip(self.groups, metrics, strict=True))
        if self.penalty.gamma is None:
            self.gammas = [self._gamma(group, metric, step_sizes) for group, metric in pairs]
        elif not self.gammas:
            self.gammas = [self.penalty.gamma] * len(self.groups)
            self.predicted = [self._predicted(group, metric, step_sizes) for group, metric in pairs]
        self.first_gammas = self.first_gammas or self.gammas

    def _prices(self, group: list[Tensor]) -> list[Tensor]:
        if self.penalty.reweight:
            return reweighted(group, epsilon=self.penalty.epsilon)
        return [torch.ones_like(weight) for weight in group]

    def _gamma(self, group: list[Tensor], metric: list[Tensor] | None, step_sizes: Sequence[float]) -> float:
        assert self.penalty.sparsity is not None
        aim = max(0.0, self.penalty.sparsity - _MARGIN)
        sizes = self._sizes(group, metric)
        return gamma_for(boundary_for(sizes, sparsity=aim), step_sizes, every=self._every)

    def _predicted(self, group: list[Tensor], metric: list[Tensor] | None, step_sizes: Sequence[float]) -> float:
        assert self.penalty.gamma is not None
        return zeroed_by(self.penalty.gamma, self._sizes(group, metric), step_sizes, every=self._every)

    def _sizes(self, group: list[Tensor], metric: list[Tensor] | None) -> list[Tensor]:
        """The magnitudes to which the law applies, in the shapes of ``group``."""
        sizes = [weight.detach().abs() for weight in group]
        if metric is not None:
            # In Adam's metric w moves by γ λ α / d: the law holds for |w| · √d, and without reweighting for |w| · d.
            torch._foreach_mul_(sizes, torch._foreach_sqrt(metric) if self.penalty.reweight else metric)
        return sizes

    @property
    def _every(self) -> int | None:
        return self.penalty.every if self.penalty.reweight else None

    def _denominators(self, group: list[Tensor], optimizer: Optimizer) -> list[Tensor] | None:
        return adam_denominators(group, optimizer) if self.penalty.scale == "adam" else None
