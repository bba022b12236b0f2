"""Predecessor and successor modules, side by side in one encoder."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from itertools import chain, pairwise
from typing import Any

from torch import nn


class Replaceable(nn.Module):
    """Some of the predecessor's layers, and those that are to take their place.

    In evaluation the successors run, whatever was drawn last.

    Attributes:
        replaced: whether the successors run in this training batch.
    """

    def __init__(self, predecessor: Sequence[nn.Module], successor: Sequence[nn.Module]) -> None:
        super().__init__()
        self.predecessor = nn.ModuleList(predecessor)
        self.successor = nn.ModuleList(successor)
        self.replaced = True

    def forward(self, hidden_states: Any, *arguments: Any, **options: Any) -> Any:
        """Run one of the two over the states (B, L, D)."""
        for layer in self.successor if self.replaced or not self.training else self.predecessor:
            hidden_states = layer(hidden_states, *arguments, **options)
        return hidden_states


def pair_up(predecessor: Sequence[nn.Module], successor: Sequence[nn.Module], *, modules: int) -> list[Replaceable]:
    """Cut both into ``modules`` runs of layers, each as even as can be, and pair them (section 3.1).

    6 layers in 4 modules are runs of 1, 2, 1 and 2.
    """
    runs = zip(_runs(predecessor, modules), _runs(successor, modules), strict=True)
    return [Replaceable(theirs, ours) for theirs, ours in runs]


def copied(layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Successors that start as ``layers`` are."""
    return [copy.deepcopy(layer) for layer in layers]


def mixed(modules: Sequence[Replaceable], replaced: Collection[int]) -> list[nn.Module]:
    """The layers, in order, of a model in which the successors of the modules ``replaced`` run, and no others.

    The way to score a mix: no draw and no mode comes into it (table 5 of the paper).
    """
    halves = (module.successor if number in replaced else module.predecessor for number, module in enumerate(modules))
    return list(chain.from_iterable(halves))


def _runs(layers: Sequence[nn.Module], count: int) -> list[list[nn.Module]]:
    bounds = [number * len(layers) // count for number in range(count + 1)]
    return [list(layers[begin:end]) for begin, end in pairwise(bounds)]
