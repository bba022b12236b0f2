"""Random importance: the control for structured methods (McCarley et al., arXiv 1910.06360, section 3.2, item 1)."""

from __future__ import annotations

import dataclasses

import torch

from secateur.methods.base import Context, State, Step
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes


class Random(Step):
    """Give every head and every FFN unit an importance drawn from U(0, 1).

    The paper draws gates from Bernoulli(α) and tunes α by hand; ranking uniform numbers also removes a random set, but
    at exactly the requested sparsity, so that it is comparable with the other methods.
    """

    changes_model = False
    gives = ("importance",)

    def run(self, state: State, context: Context) -> State:
        """Draw from the step's own generator."""
        generator = torch.Generator().manual_seed(context.seed)
        heads, units = structure_sizes(state.model)
        importance = PerGate(
            heads=tuple(torch.rand(count, generator=generator) for count in heads),
            units=tuple(torch.rand(count, generator=generator) for count in units),
        )
        return dataclasses.replace(state, importance=importance)
