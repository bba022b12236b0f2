"""Which examples share a batch, and how a loader resumes where an interrupted run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

# A pool of this many batches is drawn at random, then sorted by length: little padding, yet batches vary by epoch.
POOL_BATCHES = 50


class BucketSampler(Sampler[int]):
    """Yields indices in random order such that each batch of ``batch_size`` holds items of similar length.

    The order depends only on ``seed`` and the epoch, which Lightning passes through :meth:`set_epoch`. In a distributed
    fit, the batches are dealt out to the processes in turn; batches that do not make a full round are left out of the
    epoch.

    Args:
        lengths: length of each item in tokens, (E,).
        batch_size: items per batch.
        seed: seed of the order.
        processes: number of processes that share an epoch.
    """

    def __init__(self, lengths: np.ndarray, *, batch_size: int, seed: int, processes: int = 1) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.processes = processes
        self.epoch = 0
        # Batches to skip in an epoch, (epoch, batches). Kept after an iteration, because Lightning starts several.
        self.done = (0, 0)

    def __len__(self) -> int:
        if self.processes == 1:
            return len(self.lengths)
        return len(self.lengths) // (self.batch_size * self.processes) * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each epoch, also after a resume."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = bucketed(self.lengths, self.batch_size, np.random.default_rng((self.seed, self.epoch)))
        if self.processes > 1:
            rounds = order[: len(self) * self.processes].reshape(-1, self.processes, self.batch_size)
            order = rounds[:, torch.distributed.get_rank()].reshape(-1)
        epoch, batches = self.done
        begin = batches * self.batch_size if epoch == self.epoch else 0
        return map(int, order[begin:])  # not a list, which takes 40 bytes per item


def bucketed(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of ``range(len(lengths))`` whose batches hold items of similar length, (E,).

    A short last batch stays last, so that every other batch is full.
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
    """A loader whose position in the epoch can be saved and restored.

    ``position`` is the number of batches of this epoch that have been trained on. It is set from outside (by
    :class:`secateur.training.resume.ResumeCheckpoint`), because the iterator itself runs ahead of training.
    """

    position = 0

    def state_dict(self) -> dict[str, int]:
        """The epoch and position that Lightning stores in a checkpoint."""
        assert isinstance(self.sampler, BucketSampler)
        return {"epoch": self.sampler.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration where the checkpoint was taken."""
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
    """A loader with a new order in each epoch; it never draws from the global random generator.

    Args:
        collate: builds a batch from items; receives ``draws`` as ``seed``, and ``epoch``.
        lengths: length of each item in tokens, (E,).
        batch_size: items per batch.
        seed: seed of the order.
        draws: seed of what is random in the items themselves, such as which tokens are hidden.
        processes: number of processes that share an epoch.
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
    """A loader over every item once, longest first, so that padding is small and memory peaks in the first batch."""
    order: Sequence[int] = np.argsort(-lengths, kind="stable").tolist()
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(0),
    )
