"""The pruning phase: train under a reweighted ℓ1 penalty by proximal steps, and fix the resulting zeros."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from secateur.methods.base import Context, State
from secateur.methods.phase import Phase
from secateur.methods.ranking import Amount, Matrices, zero_out
from secateur.methods.rpp.shrinkage import Penalty
from secateur.methods.rpp.training import ProximalTraining

log = logging.getLogger(__name__)
_TRIMMED = 0.005  # deviation from the target that trimming may correct without a warning


class Proximal(Phase):
    """Reweighted proximal pruning (Guo et al., arXiv 1909.12486), on the task's loss.

    Args:
        sparsity: fraction of zeros in the matrices of the encoder's layers, in [0, 1); reached exactly.
        gamma: γ instead of a target, above 0.
        reweight, reweight_every, epsilon, prox_scale: see :class:`secateur.methods.rpp.shrinkage.Penalty`.
        include: further matrices besides those of the encoder's layers, by name from the base model, with ``*`` for a
            layer's index; they reach the same fraction, with their own γ.
        training: as in :class:`secateur.methods.phase.Phase`.
    """

    def __init__(
        self,
        *,
        sparsity: float | None,
        gamma: float | None,
        reweight: bool,
        reweight_every: int,
        epsilon: float,
        prox_scale: str,
        include: Sequence[str] = (),
        **training: Any,
    ) -> None:
        super().__init__(**training)
        self.penalty = Penalty(
            sparsity=sparsity,
            gamma=gamma,
            reweight=reweight,
            every=reweight_every,
            epsilon=epsilon,
            scale=prox_scale,
        )
        self.include = tuple(include)
        self.zeros = sparsity

    def run(self, state: State, context: Context) -> State:
        """Train and shrink; with a target, zero the smallest weights that are still missing.

        Raises:
            SecateurError: if the model is already sparser, or lacks a matrix to include.
        """
        matrices = Matrices(state.model, include=self.include)
        sparsity = self.penalty.sparsity
        if sparsity is not None:
            matrices.check_target(sparsity)
        module = ProximalTraining(
            state.model,
            context.task,
            groups=matrices.weights,
            penalty=self.penalty,
            **self.training(context),
        )
        after = self.trained(module, context)
        if sparsity is not None and abs(matrices.sparsity - sparsity) > _TRIMMED:
            log.warning(
                "phase %s: the steps zeroed %.1f %% of the weights instead of %.1f %%; more steps, or a smaller "
                "reweight_every, would come closer",
                context.name,
                100 * matrices.sparsity,
                100 * sparsity,
            )
        details = {"gamma": module.shrinkage.first_gammas[0], "zeroed_by_steps": matrices.sparsity}
        if module.shrinkage.predicted:
            details["predicted"] = module.shrinkage.predicted[0]
        amount = Amount(sparsity=sparsity or 0.0, scope="global")
        zero_out(after.model, matrices, amount.masks(matrices.weights, seed=context.seed))
        found = {"zeroed": matrices.sparsity, "mean_size": matrices.mean_size}
        return dataclasses.replace(after, details={**details, **found})
