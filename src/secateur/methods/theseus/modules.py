"""Predecessor and successor modules in one encoder (BERT-of-Theseus: Xu et al., EMNLP 2020, arXiv 2002.02925).

In each training batch, module i computes (section 3)

    y_i = r_i · scc_i(y_(i-1)) + (1 - r_i) · prd_i(y_(i-1)),    r_i ~ Bernoulli(p)

where prd_i and scc_i are the i-th predecessor and successor module, y their states (B, L, D), and p the replacing rate.
Only the module that is used is run. In evaluation, all successors run.

Shapes: B batch, L tokens, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import chain, pairwise
from typing import Any

from torch import nn


class Replaceable(nn.Module):
    """One module: some of the predecessor's layers, and the successor layers that take their place.

    In evaluation the successors run, whatever was drawn last.

    Args:
        predecessor: the predecessor's layers, prd_i.
        successor: the layers that replace them, scc_i.

    Attributes:
        replaced: r_i, whether the successors run in this training batch.
    """

    def __init__(self, predecessor: Sequence[nn.Module], successor: Sequence[nn.Module]) -> None:
        super().__init__()
        self.predecessor = nn.ModuleList(predecessor)
        self.successor = nn.ModuleList(successor)
        self.replaced = True

    def forward(self, hidden_states: Any, *arguments: Any, **options: Any) -> Any:
        """Run one of the two on the states (B, L, D); returns the states (B, L, D)."""
        for layer in self.successor if self.replaced or not self.training else self.predecessor:
            hidden_states = layer(hidden_states, *arguments, **options)
        return hidden_states


def pair_up(predecessor: Sequence[nn.Module], successor: Sequence[nn.Module], *, modules: int) -> list[Replaceable]:
    """Divide both into ``modules`` runs of consecutive layers, as equal as possible, and pair them (section 3.1).

    For example, 6 layers in 4 modules give runs of 1, 2, 1 and 2.

    Args:
        predecessor: all layers of the predecessor.
        successor: all layers of the successor.
        modules: number of modules.

    Returns:
        The modules, first to last.
    """
    runs = zip(_runs(predecessor, modules), _runs(successor, modules), strict=True)
    return [Replaceable(theirs, ours) for theirs, ours in runs]


def copied(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Copies of ``layers``, from which successors start."""
    return [copy.deepcopy(layer) for layer in layers]


def mixed(modules: Sequence[Replaceable], replaced: Collection[int]) -> list[nn.Module]:
    """The layers, in order, of a model in which exactly the modules ``replaced`` (indices from 0) use their successors.

    Used to score a mix independently of draws and training mode (table 5 of the paper).
    """
    halves = (module.successor if number in replaced else module.predecessor for number, module in enumerate(modules))
    return list(chain.from_iterable(halves))


def _runs(layers: Sequence[nn.Module], count: int) -> list[list[nn.Module]]:
    bounds = [number * len(layers) // count for number in range(count + 1)]
    return [list(layers[begin:end]) for begin, end in pairwise(bounds)]
