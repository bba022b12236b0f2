"""Sliding windows over documents that are longer than a model's input.

Shapes: E examples, W windows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset


class Window(NamedTuple):
    """One model input: ``size`` document tokens from ``first_token`` on, with the question of row ``example``."""

    example: int
    first_token: int
    size: int


class Ragged:
    """A column of token lists as one flat array; a row is a slice of it, not a copy."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps an empty column chunked
            array = pa.array([], type=column.type)
        self.offsets = array.offsets.to_numpy()
        self.values = array.values.to_numpy(zero_copy_only=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def sizes(self) -> np.ndarray:
        """Number of tokens in each row."""
        return np.diff(self.offsets)


def ragged(rows: Dataset, column: str) -> Ragged:
    """Column ``column`` of ``rows``, read without going through Python objects."""
    return Ragged(rows.with_format("arrow")[:][column])


def slide(document_sizes: np.ndarray, rooms: np.ndarray, *, doc_stride: int) -> list[Window]:
    """Windows over every document, placed as in the usual QA scripts; the arguments are those of :func:`places`."""
    return [
        Window(*place)
        for place in zip(
            *(column.tolist() for column in places(document_sizes, rooms, doc_stride=doc_stride)), strict=True
        )
    ]


def places(document_sizes: np.ndarray, rooms: np.ndarray, *, doc_stride: int) -> tuple[np.ndarray, ...]:
    """The example, first token and size of each window, as three arrays (W,).

    Args:
        document_sizes: tokens of each document, (E,).
        rooms: how many document tokens fit next to the question of each row, (E,), all above ``doc_stride``.
        doc_stride: tokens that two neighbouring windows share.
    """
    steps = rooms - doc_stride
    counts = 1 + np.maximum(0, -((rooms - document_sizes) // steps))  # rounded up: the last one reaches the end
    examples = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(len(examples)) - np.repeat(counts.cumsum() - counts, counts)
    firsts = numbers * steps[examples]
    return examples, firsts, np.minimum(rooms[examples], document_sizes[examples] - firsts)
