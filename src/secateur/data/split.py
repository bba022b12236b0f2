"""The validation split: a fixed tenth of the training data, made of complete groups of related rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from datasets import Dataset, DatasetDict

from secateur.errors import SecateurError

# Not the run's seed: runs that are compared must see the same rows.
SEED = 20160616
SHARE = 0.1

Group = tuple[str, ...]


def with_validation(
    rows: DatasetDict,
    *,
    limit_train: int | None,
    limit_test: int | None,
    group_keys: Sequence[str] = ("title", "context"),
) -> DatasetDict:
    """Split the training data into ``train`` and ``val``; nothing depends on the run's seed.

    ``val`` gets complete groups, chosen by hash, that add up as closely as possible to a tenth of the rows. The choice
    does not depend on the order of the rows.

    Args:
        rows: splits ``train`` and ``test``.
        limit_train: number of rows drawn from the training data first, so that ``val`` is a tenth of them; the rows of
            a lower limit are among those of a higher one. None, or more than there are, takes all.
        limit_test: the same for the test split.
        group_keys: columns from coarse to fine. Rows with the same value in the first form a group; a group with more
            than a tenth of the rows is split by the next one.

    Returns:
        ``train``, ``val`` and ``test``, each in its original order.

    Raises:
        SecateurError: if a limit is below 1, or there are fewer than two groups.
    """
    train = _limited(rows["train"], limit_train, key="limit_train")
    test = _limited(rows["test"], limit_test, key="limit_test")
    kept, held_out = split_off(train, group_keys=group_keys, share=SHARE, purpose="validation")
    return DatasetDict({"train": kept, "val": held_out, "test": test})


def split_off(rows: Dataset, *, group_keys: Sequence[str], share: float, purpose: str) -> tuple[Dataset, Dataset]:
    """Hold out complete groups that add up as closely as possible to ``share`` of the rows.

    Args:
        rows: what to split.
        group_keys: as for :func:`with_validation`; here a group of more than ``share`` of the rows is split.
        share: fraction of the rows to hold out, in (0, 1).
        purpose: what the rows are held out for, in messages.

    Returns:
        The remaining rows and those held out, each in their original order.

    Raises:
        SecateurError: if there are fewer than two groups.
    """
    groups = _group_rows(rows, group_keys, share=share)
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise SecateurError(
            f"the {len(rows)} rows of the training data share one {group_keys[-1]}, so none can be held out for "
            f"{purpose}; give rows with at least two, or raise limit_train"
        )
    chosen = _choose(sizes, target=max(1, round(len(rows) * share)))
    held_out = np.array([group in chosen for group in groups])
    return rows.select(np.flatnonzero(~held_out)), rows.select(np.flatnonzero(held_out))


def _limited(rows: Dataset, limit: int | None, *, key: str) -> Dataset:
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise SecateurError(f"{key}={limit}: at least 1 row is needed; null takes all")
    # RandomState's stream never changes; default_rng's may change with NumPy versions.
    order = np.random.RandomState(SEED).permutation(len(rows))
    return rows.select(np.sort(order[:limit]))


def _group_rows(rows: Dataset, keys: Sequence[str], *, share: float) -> list[Group]:
    """Each row's group: its value in the first column, and in further columns while the group is too large."""
    groups: list[Group] = [(str(value),) for value in rows[keys[0]][:]]
    for key in keys[1:]:
        sizes = Counter(groups)
        groups = [
            (*group, str(value)) if sizes[group] > share * len(rows) else group
            for group, value in zip(groups, rows[key][:], strict=True)
        ]
    return groups


def _choose(sizes: Counter[Group], *, target: int) -> set[Group]:
    """Groups whose sizes add up as closely as possible to ``target``, among the first ones in hash order.

    A subset sum by dynamic programming: bit s of ``reachable`` says that some of the groups so far add up to s. Going
    through the groups in an arbitrary order and stopping at an exact match takes nearly all of the first ones. That is
    close to a fair draw, whereas a free choice among all groups could favour certain sizes.
    """
    order = sorted(sizes, key=_hash)
    highest = max(2 * target, min(sizes.values()))
    within = (1 << (highest + 1)) - 1
    reachable, first_with = 1, {0: 0}
    for index, group in enumerate(order):
        new = (reachable << sizes[group]) & within & ~reachable
        first_with.update((total, index) for total in _bits(new))
        reachable |= new
        if target in first_with:
            break
    total = min(first_with.keys() - {0}, key=lambda total: (abs(total - target), total))
    chosen = set()
    while total:
        # The remainder was reachable before this group, so no group occurs twice.
        group = order[first_with[total]]
        chosen.add(group)
        total -= sizes[group]
    return chosen


def _bits(number: int) -> Iterator[int]:
    """Positions of the bits set in ``number``."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _hash(group: Group) -> bytes:
    return hashlib.sha256("\x1f".join((str(SEED), *group)).encode()).digest()
