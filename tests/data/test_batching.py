"""Batches: little padding, an order determined by seed and epoch, and a position in it that can be restored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from secateur.data.batching import POOL_BATCHES, BucketSampler, ResumableLoader, bucketed, eval_loader, train_loader

BATCH_SIZE = 8


class _Items(Dataset[int]):
    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> int:
        return index


def _lengths(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(20, 384, count)


def _listed(items: list[int], *, seed: int, epoch: int) -> list[int]:
    return items


def _loader(items: _Items, *, seed: int = 1, epoch: int = 0) -> ResumableLoader:
    loader = train_loader(items, collate=_listed, lengths=items.lengths, batch_size=BATCH_SIZE, seed=seed, draws=seed)
    assert isinstance(loader.sampler, BucketSampler)
    loader.sampler.set_epoch(epoch)
    return loader


def _padded(batches: list[list[int]], lengths: np.ndarray) -> int:
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


def _in_batches(order: np.ndarray) -> list[list[int]]:
    return [order[begin : begin + BATCH_SIZE].tolist() for begin in range(0, len(order), BATCH_SIZE)]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 400, 403, 2 * POOL_BATCHES * BATCH_SIZE + 13])
def test_every_item_once_and_every_batch_but_the_last_full(count):
    items = _Items(_lengths(count))
    loader = _loader(items)
    batches = list(loader)
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert [len(batch) for batch in batches[:-1]] == [BATCH_SIZE] * (len(batches) - 1)
    assert len(batches) == len(loader)


def test_the_order_follows_from_seed_and_epoch_alone():
    """Neither the global generators nor how often the loader was asked before play a part."""
    items = _Items(_lengths(203))
    first = list(_loader(items))
    torch.manual_seed(5)
    np.random.seed(5)
    loader = _loader(items, epoch=3)
    later = list(loader)
    loader.sampler.set_epoch(0)
    assert list(loader) == first == list(loader)
    assert list(_loader(items, epoch=3)) == later
    assert first != later != list(_loader(items, epoch=4))
    assert first != list(_loader(items, seed=2))


def test_batches_hold_similar_lengths():
    """Against the lengths themselves and against a random order, over more than one pool."""
    lengths = _lengths(3 * POOL_BATCHES * BATCH_SIZE)
    random_order = np.random.default_rng(1).permutation(len(lengths))
    wasted = _padded(_in_batches(bucketed(lengths, BATCH_SIZE, np.random.default_rng(0))), lengths) - lengths.sum()
    wasted_at_random = _padded(_in_batches(random_order), lengths) - lengths.sum()
    assert wasted < 0.02 * lengths.sum()
    assert wasted < 0.05 * wasted_at_random


def test_batches_come_in_random_order_and_company():
    """Sorted batches would make a curriculum; the same neighbours in each epoch would be no shuffling."""
    lengths = _lengths(3 * POOL_BATCHES * BATCH_SIZE)
    epochs = [_in_batches(bucketed(lengths, BATCH_SIZE, np.random.default_rng(seed))) for seed in (0, 1)]
    means = [lengths[batch].mean() for batch in epochs[0]]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
    companies = [{frozenset(batch) for batch in epoch} for epoch in epochs]
    assert not companies[0] & companies[1]


@pytest.mark.parametrize("done", [0, 1, 5, 12])
def test_a_fresh_loader_gives_the_rest_of_the_epoch(done):
    """However often that is begun, as Lightning does; and the next epoch is whole again."""
    items = _Items(_lengths(101))
    loader = _loader(items, epoch=2)
    whole = list(loader)
    loader.position = done
    fresh = _loader(items)
    fresh.load_state_dict(loader.state_dict())
    fresh.sampler.set_epoch(2)
    for _ in range(2):
        assert list(fresh) == whole[done:]
    assert len(fresh) == len(whole)
    fresh.sampler.set_epoch(3)
    assert list(fresh) == list(_loader(items, epoch=3))


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_iterating_leaves_the_global_generator_alone(kind):
    """Or dropout would draw other masks after a resume."""
    items = _Items(_lengths(40))
    options: dict[str, Any] = {"lengths": items.lengths, "batch_size": BATCH_SIZE}
    before = torch.get_rng_state()
    for _ in range(2):
        if kind == "train":
            list(train_loader(items, collate=_listed, seed=1, draws=1, **options))
        else:
            list(eval_loader(items, collate=list, **options))
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_takes_every_item_once_the_longest_first():
    items = _Items(_lengths(45))
    loader = eval_loader(items, collate=list, lengths=items.lengths, batch_size=BATCH_SIZE)
    batches = list(loader)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(45))
    assert (np.diff(items.lengths[order]) <= 0).all()
    assert batches == list(loader)
