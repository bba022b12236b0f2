"""Which examples share a batch, and how a loader goes on where a killed run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

# A pool of this many batches is shuffled, then sorted by length: little padding, batches of random company.
POOL_BATCHES = 50


class BucketSampler(Sampler[int]):
    """Indices ordered so that each run of ``batch_size`` has items of similar length, in random order.

    The order follows from ``seed`` and the epoch alone, which Lightning hands over through :meth:`set_epoch`. In a
    distributed fit the processes take turns in the batches, and what does not go round is left out of the epoch.

    Args:
        lengths: of the items, in tokens.
        processes: that share an epoch.
    """

    def __init__(self, lengths: np.ndarray, *, batch_size: int, seed: int, processes: int = 1) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.processes = processes
        self.epoch = 0
        # Batches to leave out of an epoch, (epoch, batches). Not used up by one iteration: Lightning begins several.
        self.done = (0, 0)

    def __len__(self) -> int:
        if self.processes == 1:
            return len(self.lengths)
        return len(self.lengths) // (self.batch_size * self.processes) * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also after a resume."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = bucketed(self.lengths, self.batch_size, np.random.default_rng((self.seed, self.epoch)))
        if self.processes > 1:
            rounds = order[: len(self) * self.processes].reshape(-1, self.processes, self.batch_size)
            order = rounds[:, torch.distributed.get_rank()].reshape(-1)
        epoch, batches = self.done
        begin = batches * self.batch_size if epoch == self.epoch else 0
        return map(int, order[begin:])  # not a list, which takes 40 bytes an item


def bucketed(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of ``range(len(lengths))`` whose batches hold items of similar length.

    A short last batch stays last, so that every batch but that one is full.
    """
    order = rng.permutation(len(lengths))
    pool = POOL_BATCHES * batch_size
    for begin in range(0, len(order), pool):
        part = order[begin : begin + pool]
        order[begin : begin + pool] = part[np.argsort(lengths[part], kind="stable")]
    full = len(order) // batch_size * batch_size
    batches = order[:full].reshape(-1, batch_size)
    return np.concatenate([rng.permutation(batches, axis=0).reshape(-1), order[full:]])


class ResumableLoader(DataLoader):
    """A loader whose place in the epoch can be saved and found again.

    ``position`` is the number of batches of this epoch that were trained on. It is set from outside (by
    :class:`secateur.training.resume.ResumeCheckpoint`), because the iterator itself runs ahead of the training.
    """

    position = 0

    def state_dict(self) -> dict[str, int]:
        """What Lightning puts into a checkpoint."""
        assert isinstance(self.sampler, BucketSampler)
        return {"epoch": self.sampler.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next iteration where the checkpoint was taken."""
        assert isinstance(self.sampler, BucketSampler)
        self.sampler.done = (state["epoch"], state["position"])


def train_loader(
    dataset: Dataset[Any],
    *,
    collate: Callable[..., Any],
    lengths: np.ndarray,
    batch_size: int,
    seed: int,
    draws: int,
    processes: int = 1,
) -> ResumableLoader:
    """Batches in an order of their own for each epoch; the loader never draws from the global generator.

    Args:
        collate: a batch of items, given ``draws`` as its seed and ``epoch`` beside them.
        seed: of the order.
        draws: of what is random in the items themselves, such as which tokens are hidden.
    """
    sampler = BucketSampler(lengths, batch_size=batch_size, seed=seed, processes=processes)
    return ResumableLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=lambda items: collate(items, seed=draws, epoch=sampler.epoch),
        generator=torch.Generator().manual_seed(seed),
    )


def eval_loader(
    dataset: Dataset[Any], *, collate: Callable[[list[Any]], Any], lengths: np.ndarray, batch_size: int
) -> DataLoader:
    """Every item once, longest first, so that padding is small and memory peaks at once."""
    order: Sequence[int] = np.argsort(-lengths, kind="stable").tolist()
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(0),
    )
