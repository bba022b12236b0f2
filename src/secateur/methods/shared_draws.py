"""Random numbers that every process of a distributed fit draws alike, and that a resumed fit goes on with."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn


class SharedDraws(nn.Module):
    """Uniform numbers, one set for each batch.

    Where processes skipped different layers, their gradients would no longer belong together (DistributedDataParallel
    waits for those of a layer that another process left out). How many sets were drawn is part of the state dict.

    Args:
        seed: of all draws.
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
