"""Random numbers that are the same in every process of a distributed fit and continue in a resumed fit."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn


class SharedDraws(nn.Module):
    """Uniform numbers, one set for each batch.

    If processes skipped different layers, their gradients would no longer match (DistributedDataParallel waits for the
    gradients of a layer that another process skipped). The number of sets drawn is part of the state dict.

    Args:
        seed: seed of all draws.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def next(self, count: int) -> list[float]:
        """``count`` numbers, uniform in [0, 1)."""
        drawn = cast(Tensor, self.drawn)
        numbers = np.random.default_rng([self.seed, int(drawn)]).random(count)
        drawn += 1
        return numbers.tolist()
