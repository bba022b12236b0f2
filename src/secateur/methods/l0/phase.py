"""The gate phase: α is trained on the task's loss and the cost of open gates; the next step ranks the gates."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from contextlib import nullcontext

import pytorch_lightning as pl
import torch
from transformers import PreTrainedModel

from secateur.distillation import Distillation
from secateur.errors import SecateurError, check_above_zero
from secateur.methods.base import Context, State
from secateur.methods.l0.amount import KINDS, Amount
from secateur.methods.l0.gates import HardConcreteGates
from secateur.methods.l0.hard_concrete import HardConcrete
from secateur.methods.l0.penalty import Price, Target
from secateur.methods.l0.training import GatedObjective, GateTraining
from secateur.methods.phase import Phase
from secateur.methods.threshold import weights_per_gate
from secateur.structure.gates import PerGate
from secateur.structure.gating import fold
from secateur.structure.shape import structure_sizes
from secateur.training.module import frozen

log = logging.getLogger(__name__)

_MISSED = 0.02  # deviation from the target, as a fraction of the gates, that is worth a warning


class GatePhase(Phase):
    """Train a hard-concrete gate on every head and FFN unit (McCarley et al., section 3.2, item 4).

    The resulting importance is the deterministic gate before clamping, which ranks as α does.

    Args:
        amount: how much to remove.
        distribution: the distribution of the gates.
        epochs, batch_size, accumulate_grad_batches, distillation: as in :class:`secateur.methods.phase.Phase`.
        gate_learning_rate: learning rate of α, with Adam; above 0. None: 0.03, or 20 / steps in phases of fewer than
            667 steps.
        initial_openness: initial P(gate ≠ 0), in (0, 1).
        initial_spread: standard deviation of the initial α.
        max_alpha: α is clamped to ± this after each step; above 0.
        constraint_weight, multiplier_rate: ρ in nats and η of :class:`secateur.methods.l0.penalty.Target`, above 0.
        target_warmup_ratio: share of the phase in which the target grows from 0, in [0, 1].
        learning_rate, weight_decay, max_grad_norm: for the weights, if they are trained.
        gates: "heads", "units" or "both": which of the kinds in ``amount`` this phase gates.
        dropout: whether the model's dropout is on; the paper does not say.
        train_weights: train the weights too, at ``learning_rate`` without a schedule; the paper freezes them. At the
            end, the gates are folded into the weights.
    """

    gives = ("importance", "gates")

    def __init__(
        self,
        *,
        amount: Amount,
        distribution: HardConcrete,
        epochs: float,
        batch_size: int,
        accumulate_grad_batches: int,
        gate_learning_rate: float | None,
        initial_openness: float,
        initial_spread: float,
        max_alpha: float,
        constraint_weight: float,
        multiplier_rate: float,
        target_warmup_ratio: float,
        learning_rate: float,
        weight_decay: float,
        max_grad_norm: float,
        gates: str = "both",
        dropout: bool = False,
        train_weights: bool = False,
        distillation: Distillation | None = None,
        evaluate: bool = False,
    ) -> None:
        super().__init__(
            epochs=epochs,
            batch_size=batch_size,
            accumulate_grad_batches=accumulate_grad_batches,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_ratio=0.0,
            max_grad_norm=max_grad_norm,
            distillation=distillation,
            evaluate=evaluate,
        )
        self.changes_model = train_weights
        self.kinds = _kinds(gates, amount)
        self.amount = amount
        self.distribution = distribution
        check_above_zero(
            gate_learning_rate=gate_learning_rate,
            max_alpha=max_alpha,
            constraint_weight=constraint_weight,
            multiplier_rate=multiplier_rate,
        )
        if not 0 < initial_openness < 1:
            raise SecateurError(f"initial_openness={initial_openness}: must lie in (0, 1), such as 0.9")
        if initial_spread < 0:
            raise SecateurError(f"initial_spread={initial_spread}: must be 0 or more")
        if not 0 <= target_warmup_ratio <= 1:
            raise SecateurError(f"target_warmup_ratio={target_warmup_ratio}: must lie in [0, 1]")
        self.initial_alpha = distribution.alpha_of(initial_openness)
        if abs(self.initial_alpha) > max_alpha:
            raise SecateurError(f"initial_openness={initial_openness}: is beyond max_alpha={max_alpha}")
        closable = 1 - distribution.open_probability(torch.tensor(-max_alpha)).item()
        for name, target in amount.targets(self.kinds).items():
            if target > closable:
                raise SecateurError(
                    f"{name}={target}: at most {closable:.3f} of the gates can close with max_alpha={max_alpha}; "
                    "raise it"
                )
        self.initial_spread = initial_spread
        self.max_alpha = max_alpha
        self.constraint_weight = constraint_weight
        self.multiplier_rate = multiplier_rate
        self.target_warmup_ratio = target_warmup_ratio
        self.dropout = dropout
        self.train_weights = train_weights
        self.gate_learning_rate = gate_learning_rate

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that there is something to gate.

        Raises:
            SecateurError: if the model has no gates left of a kind to be gated.
        """
        for kind, sizes in {"heads": heads, "units": units}.items():
            if kind in self.kinds and not sum(sizes):
                raise SecateurError(f"gates={kind}: the model has no {kind} left; gate only the other kind")

    def run(self, state: State, context: Context) -> State:
        """Train the gates; the model does not change unless its weights are trained too."""
        pl.seed_everything(context.seed, verbose=False)
        gates = self._gates(state.model)
        penalty = self._penalty(gates, state.model)
        training = self.training(context)
        module = GateTraining(
            state.model,
            context.task,
            **{**training, "objective": GatedObjective(gates, penalty, training["objective"])},
            train_weights=self.train_weights,
            dropout=self.dropout,
            gate_learning_rate=self.gate_learning_rate,
        )
        with nullcontext() if self.train_weights else frozen(state.model.parameters()):
            self.trained(module, context)
        if self.train_weights:
            fold(state.model, gates.deterministic())
        if isinstance(penalty, Target) and abs(missed := penalty.missed(gates.open_fraction())) > _MISSED:
            log.warning(
                "phase %s: %.1f %% too %s of the gates are closed, and only their rank decides about those; more steps "
                "would come closer",
                context.name,
                100 * abs(missed),
                "few" if missed > 0 else "many",
            )
        opened = dict(zip(gates.kinds, gates.open_fraction().tolist(), strict=True))
        return dataclasses.replace(
            state,
            importance=_merged(gates.importance(), state.importance, kinds=self.kinds),
            details={"open_fraction": opened, **penalty.describe()},
        )

    def _gates(self, model: PreTrainedModel) -> HardConcreteGates:
        heads, units = structure_sizes(model)
        return HardConcreteGates(
            heads=heads,
            units=units,
            kinds=self.kinds,
            distribution=self.distribution,
            alpha=self.initial_alpha,
            spread=self.initial_spread,
            limit=self.max_alpha,
        )

    def _penalty(self, gates: HardConcreteGates, model: PreTrainedModel) -> Price | Target:
        counts = {kind: sum(gates.sizes[kind]) for kind in self.kinds}
        if self.amount.is_priced:
            return Price([self.amount.price(kind, gates=count) or 0.0 for kind, count in counts.items()])
        if self.amount.joint is not None:
            weights = [count * weights_per_gate(model.config)[kind] for kind, count in counts.items()]
            targets, shares = [self.amount.joint], [[weight / sum(weights) for weight in weights]]
        else:
            targets = [self.amount.target(kind) or 0.0 for kind in self.kinds]
            shares = [[float(kind == other) for other in self.kinds] for kind in self.kinds]
        return Target(
            targets,
            shares=shares,
            weight=self.constraint_weight,
            multiplier_rate=self.multiplier_rate,
            warmup_ratio=self.target_warmup_ratio,
        )


def _kinds(gates: str, amount: Amount) -> tuple[str, ...]:
    if gates not in (*KINDS, "both"):
        raise SecateurError(f"gates={gates}: must be heads, units or both")
    if gates == "both":
        return amount.kinds
    if amount.joint is not None:
        raise SecateurError(f"gates={gates}: split=joint weighs heads against units, so one phase gates both")
    if gates not in amount.kinds:
        raise SecateurError(f"gates={gates}: no amount is set for {gates}; remove this phase from method.order")
    return (gates,)


def _merged(found: PerGate, earlier: PerGate | None, *, kinds: Sequence[str]) -> PerGate:
    """``found``, with the importance of an earlier phase for the kind that this one did not train."""
    if earlier is None:
        return found
    return dataclasses.replace(earlier, **{kind: getattr(found, kind) for kind in kinds})
