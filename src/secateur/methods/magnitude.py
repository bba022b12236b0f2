"""Magnitude pruning in one shot (Gordon, Duh, Andrews: Compressing BERT, arXiv 2002.08307)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from secateur.methods.base import Context, State, Step
from secateur.methods.ranking import Amount, Matrices, zero_out


class Magnitude(Step):
    """Zero the smallest weights permanently; later training keeps them at zero.

    Args:
        amount: how many weights to zero, and which.
        include: further matrices besides those of the encoder's layers, by name from the base model, with ``*`` for a
            layer's index.
    """

    def __init__(self, *, amount: Amount, include: Sequence[str] = (), evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        self.amount = amount
        self.include = tuple(include)
        self.zeros = amount.sparsity

    def run(self, state: State, context: Context) -> State:
        """Rank and zero.

        Raises:
            SecateurError: if the model is already sparser, or lacks a matrix to include.
        """
        matrices = Matrices(state.model, include=self.include)
        if self.amount.sparsity is not None:
            matrices.check_target(self.amount.sparsity)
        zero_out(state.model, matrices, self.amount.masks(matrices.weights, seed=context.seed))
        return dataclasses.replace(state, details={"zeroed": matrices.sparsity})
