"""Model inputs of one split: what every task makes of its rows."""

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
        max_seq_length: maximum length of a complete input, special tokens included.
        max_question_length: maximum length of the question; longer ones are truncated. 0 if the task has no questions.
        doc_stride: tokens shared by two neighbouring windows of one document. 0 if there are no windows.
        layout: ``packed``, question and document in one sequence of tokens, or ``segmented``, each in its own slot.
    """

    max_seq_length: int
    max_question_length: int = 0
    doc_stride: int = 0
    layout: str = PACKED


def tokenized(rows: Dataset, tokenize: Callable[..., dict[str, list[Any]]], **settings: Any) -> Dataset:
    """``rows`` with the columns that ``tokenize`` computes from batches of them, given ``settings``."""
    return rows.map(tokenize, batched=True, fn_kwargs=settings, desc="tokenizing", keep_in_memory=True)


class Examples(TorchDataset[Any], ABC):
    """Model inputs of one split: lengths known in advance, (E,), and a collator that takes item indices."""

    lengths: np.ndarray
    questions_cut: int = 0
    """How many questions are longer than ``max_question_length``, whatever the layout."""

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> int:
        return index

    @abstractmethod
    def collate(self, items: list[int]) -> Batch:
        """Lay items out as one padded batch; its ``items`` (B,) are their indices in this split."""

    def collate_in_training(self, items: list[int], *, seed: int, epoch: int) -> Batch:
        """Like :meth:`collate`; randomness in training depends only on ``seed``, ``epoch`` and the item.

        A resumed run therefore sees the same inputs as an uninterrupted one, whichever items share a batch.
        """
        return self.collate(items)
