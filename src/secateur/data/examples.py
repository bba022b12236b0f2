"""Model inputs of one split: what every task turns its rows into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from secateur.structure.decomposition import PACKED

Batch = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long inputs may be, in tokens.

    Attributes:
        max_seq_length: of a whole input, special tokens included.
        max_question_length: of the question; longer ones are cut. 0 where a task asks none.
        doc_stride: tokens that two neighbouring windows of one document share. 0 where there are no windows.
        layout: ``packed``, question and document in one row of tokens, or ``segmented``, each in a slot of its own.
    """

    max_seq_length: int
    max_question_length: int = 0
    doc_stride: int = 0
    layout: str = PACKED


def tokenized(rows: Dataset, tokenize: Callable[..., dict[str, list[Any]]], **settings: Any) -> Dataset:
    """``rows`` with the columns that ``tokenize`` makes of batches of them, given ``settings``."""
    return rows.map(tokenize, batched=True, fn_kwargs=settings, desc="tokenizing", keep_in_memory=True)


class Examples(TorchDataset[Any], ABC):
    """Model inputs of one split: lengths known beforehand, a collator that is given the items' numbers."""

    lengths: np.ndarray
    questions_cut: int = 0
    """How many questions are longer than ``max_question_length``, whatever the layout."""

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> int:
        return index

    @abstractmethod
    def collate(self, items: list[int]) -> Batch:
        """Lay items out as one padded batch; its ``items`` (B,) are their numbers in this split."""

    def collate_in_training(self, items: list[int], *, seed: int, epoch: int) -> Batch:
        """Like :meth:`collate`; what is left to chance in training follows from ``seed``, ``epoch`` and the item alone.

        So a resumed run sees what an uninterrupted one sees, whoever shares a batch with whom.
        """
        return self.collate(items)
