"""The validation split: a fixed tenth of the training data, in whole groups of related rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from datasets import Dataset, DatasetDict

from secateur.errors import SecateurError

# Not a run's seed: runs that are compared must see the same rows.
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
    """Part the training data into ``train`` and ``val``; nothing depends on a run's seed.

    ``val`` gets whole groups, chosen by hash, that add up to as near a tenth of the rows as groups can. Which
    groups these are does not depend on the rows' order.

    Args:
        rows: splits ``train`` and ``test``.
        limit_train: rows drawn from the training data beforehand, so that ``val`` is a tenth of them; a lower
            limit's rows are among a higher one's. None, or more than there are, takes all.
        limit_test: the same for the test split.
        group_keys: columns from coarse to fine. Rows of equal value in the first form a group; a group with
            more than a tenth of the rows is parted by the next one.

    Returns:
        ``train``, ``val`` and ``test``, each in its original order.

    Raises:
        SecateurError: if a limit is below 1, or there are fewer than two groups.
    """
    train = _limited(rows["train"], limit_train, key="limit_train")
    test = _limited(rows["test"], limit_test, key="limit_test")
    kept, held_out = parted(train, group_keys=group_keys, share=SHARE, purpose="validation")
    return DatasetDict({"train": kept, "val": held_out, "test": test})


def parted(rows: Dataset, *, group_keys: Sequence[str], share: float, purpose: str) -> tuple[Dataset, Dataset]:
    """Part whole groups off, which add up to as near ``share`` of the rows as groups can.

    Args:
        group_keys: as for :func:`with_validation`; here a group of more than ``share`` of the rows is parted.
        purpose: what the rows are held out for, in messages.

    Returns:
        The rows that stay and those that are held out, in their original order.

    Raises:
        SecateurError: if there are fewer than two groups.
    """
    groups = _group_rows(rows, group_keys, share=share)
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise SecateurError(
            f"the training data's {len(rows)} rows share one {group_keys[-1]}, so none can be held out for "
            f"{purpose}; give rows of at least two, or raise limit_train"
        )
    chosen = _choose(sizes, target=max(1, round(len(rows) * share)))
    held_out = np.array([group in chosen for group in groups])
    return rows.select(np.flatnonzero(~held_out)), rows.select(np.flatnonzero(held_out))


def _limited(rows: Dataset, limit: int | None, *, key: str) -> Dataset:
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise SecateurError(f"{key}={limit}: at least 1 row is needed; null takes all")
    # RandomState's stream is frozen for good, default_rng's may change with NumPy.
    order = np.random.RandomState(SEED).permutation(len(rows))
    return rows.select(np.sort(order[:limit]))


def _group_rows(rows: Dataset, keys: Sequence[str], *, share: float) -> list[Group]:
    """Each row's group: its value in the first column, and in the next ones where that group is too big."""
    groups: list[Group] = [(str(value),) for value in rows[keys[0]][:]]
    for key in keys[1:]:
        sizes = Counter(groups)
        groups = [
            (*group, str(value)) if sizes[group] > share * len(rows) else group
            for group, value in zip(groups, rows[key][:], strict=True)
        ]
    return groups


def _choose(sizes: Counter[Group], *, target: int) -> set[Group]:
    """Groups whose sizes add up as near to ``target`` as can be, among the first ones in hash order.

    A subset sum by dynamic programming: bit s of ``reachable`` says that some of the groups so far add up to
    s. Going through the groups in an arbitrary order and stopping at an exact match takes nearly all of the
    first ones: a fair draw, where a free choice among all groups could prefer some sizes.
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
        # What is left was reachable before this group, so no group comes twice.
        group = order[first_with[total]]
        chosen.add(group)
        total -= sizes[group]
    return chosen


def _bits(number: int) -> Iterator[int]:
    """Positions of the ones in ``number``."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _hash(group: Group) -> bytes:
    return hashlib.sha256("\x1f".join((str(SEED), *group)).encode()).digest()
