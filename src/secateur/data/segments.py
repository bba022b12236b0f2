"""Tokenised documents on disk: a document's tokens in one row, with the size of each segment (a paragraph)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase

from secateur.data.documents import paragraphs
from secateur.data.words import leading_mark

FEATURES = Features({"id": Value("string"), "ids": List(Value("int32")), "segment_sizes": List(Value("int32"))})

# Documents tokenised at a time: in memory, as Python integers, they take about ten times the space of what is written.
_AT_A_TIME = 100


def tokenize_documents(rows: Dataset, tokenizer: PreTrainedTokenizerBase, *, file: Path | None = None) -> Dataset:
    """Tokens of rows of :mod:`secateur.data.documents`, written to ``file`` batch by batch; None keeps them in memory.

    If the tokenizer marks words by the space before them, a space is put before every segment, so that its first word
    is tokenised like any other.
    """
    return rows.map(
        _tokenize,
        batched=True,
        batch_size=_AT_A_TIME,
        fn_kwargs={"tokenizer": tokenizer, "before": " " if leading_mark(tokenizer) == "Ġ" else ""},
        remove_columns=rows.column_names,
        features=FEATURES,
        desc="tokenizing",
        keep_in_memory=file is None,
        cache_file_name=None if file is None else str(file),
    )


def write_documents(rows: Dataset, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Tokenise into ``folder``; temporarily needs as much disk space again next to it, and one batch of memory."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tokenize_documents(rows, tokenizer, file=Path(scratch) / "tokens.arrow").save_to_disk(folder)


class Lists:
    """A column of integer lists, read in place: a row is a slice of the memory-mapped file, not a copy."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._chunks = [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in column.chunks]
        self._first_rows = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    @property
    def sizes(self) -> np.ndarray:
        """Number of values in each row."""
        return np.concatenate([np.diff(offsets) for offsets, _ in self._chunks])

    def __getitem__(self, row: int) -> np.ndarray:
        chunk = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        offsets, values = self._chunks[chunk]
        place = row - self._first_rows[chunk]
        return values[offsets[place] : offsets[place + 1]]


class Segments:
    """The tokens of documents by segment, read through a memory map; rows of :func:`tokenize_documents`."""

    def __init__(self, tokens: Dataset) -> None:
        table = tokens.with_format("arrow")[:]
        self.names = tokens["id"]
        self._ids, self.sizes = Lists(table["ids"]), Lists(table["segment_sizes"])

    def __len__(self) -> int:
        return len(self._ids)

    def tokens(self, row: int) -> np.ndarray:
        """All tokens of a document."""
        return self._ids[row]


def _tokenize(rows: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase, before: str) -> dict[str, list[Any]]:
    of_documents = paragraphs(rows)
    texts = [before + paragraph for of_document in of_documents for paragraph in of_document]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    ids = iter([np.asarray(each, dtype=np.int32) for each in encoded])
    # A paragraph that consists only of characters that the tokenizer drops is left out.
    segments = [[each for each in (next(ids) for _ in of_document) if len(each)] for of_document in of_documents]
    nothing = np.zeros(0, dtype=np.int32)
    return {
        "id": rows["id"],
        "ids": [np.concatenate([nothing, *each]) for each in segments],
        "segment_sizes": [np.array([len(ids) for ids in each], dtype=np.int32) for each in segments],
    }
