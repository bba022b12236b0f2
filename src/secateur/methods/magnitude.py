"""Magnitude pruning in one shot (Gordon, Duh, Andrews: Compressing BERT, arXiv 2002.08307)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from secateur.methods.base import Context, State, Step
from secateur.methods.ranking import Amount, Matrices, zero_out


class Magnitude(Step):
    """Zero the smallest weights for good; whatever trains next keeps them at zero.

    Args:
        amount: how many go, and which.
        include: matrices beside those of the encoder's layers, by name from the base model, ``*`` for a layer's number.
    """

    def __init__(self, *, amount: Amount, include: Sequence[str] = (), evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        self.amount = amount
        self.include = tuple(include)
        self.zeros = amount.sparsity

    def run(self, state: State, context: Context) -> State:
        """Rank and zero.

        Raises:
            SecateurError: if the model is sparser already, or lacks a matrix to include.
        """
        matrices = Matrices(state.model, include=self.include)
        if self.amount.sparsity is not None:
            matrices.check_target(self.amount.sparsity)
        zero_out(state.model, matrices, self.amount.masks(matrices.weights, seed=context.seed))
        return dataclasses.replace(state, details={"zeroed": matrices.sparsity})
