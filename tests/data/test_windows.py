"""Windows over long documents match those of the tokenizer itself, and token columns are read as flat arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, List, Value, concatenate_datasets, load_from_disk
from transformers import PreTrainedTokenizerBase

from secateur.data.packing import Template
from secateur.data.windows import Window, ragged, slide

MAX_LENGTH = 32
LISTS = [[1, 2], [], [3], [4, 5, 6], [], [7, 8]]


def _theirs(tokenizer: PreTrainedTokenizerBase, question: str, document: str, stride: int) -> list[tuple[int, int]]:
    """First document token and number of document tokens of each of Hugging Face's windows."""
    encoded = tokenizer(
        question,
        document,
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    places = tokenizer(document, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    windows = []
    for number, offsets in enumerate(encoded["offset_mapping"]):
        shown = [offset for offset, owner in zip(offsets, encoded.sequence_ids(number), strict=True) if owner == 1]
        first = places.index(shown[0]) if shown else 0
        assert shown == places[first : first + len(shown)]
        windows.append((first, len(shown)))
    return windows


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("question", ["Who?", "When was the notes wrote?"])
@pytest.mark.parametrize("stride", [1, 4])
def test_windows_are_those_of_the_tokenizer(family, question, stride, request):
    """For documents of every length around one, two and three windows, one that just fills its room included."""
    tokenizer = request.getfixturevalue(family)
    room = MAX_LENGTH - Template.of(tokenizer).added() - len(tokenizer.tokenize(question))
    assert room > stride
    documents = ["," * size for size in range(3 * room)]
    sizes = np.array([len(tokenizer.tokenize(document)) for document in documents])
    assert sizes.tolist() == list(range(3 * room))
    windows = slide(sizes, np.full(len(sizes), room), doc_stride=stride)
    for example, document in enumerate(documents):
        ours = [(window.first_token, window.size) for window in windows if window.example == example]
        assert ours == _theirs(tokenizer, question, document, stride)


def test_each_row_has_a_room_of_its_own():
    windows = slide(np.array([10, 10, 0]), np.array([10, 6, 3]), doc_stride=2)
    assert windows == [Window(0, 0, 10), Window(1, 0, 6), Window(1, 4, 6), Window(2, 0, 0)]


def _rows(lists: list[list[int]]) -> Dataset:
    return Dataset.from_dict({"ids": lists}, features=Features({"ids": List(Value("int32"))}))


def _saved(rows: Dataset, folder: Path) -> Dataset:
    rows.save_to_disk(folder)
    return load_from_disk(folder)


def _chunked(lists: list[list[int]], _: Path) -> Dataset:
    rows = concatenate_datasets([_rows(lists[:2]), _rows(lists[2:5]), _rows(lists[5:])])
    assert rows.data.column("ids").num_chunks == 3
    return rows


MAKERS: dict[str, Callable[[list[list[int]], Path], Dataset]] = {
    "in memory": lambda lists, _: _rows(lists),
    "in several chunks": _chunked,
    "rows picked in disorder": lambda lists, _: _rows([[9], *lists[::-1], [9]]).select(range(len(lists), 0, -1)),
    "a slice": lambda lists, _: _rows([[9, 9], *lists, [9]]).select(range(1, len(lists) + 1)),
    "a slice of chunks": lambda lists, path: _chunked([[9], *lists, [9]], path).select(range(1, len(lists) + 1)),
    "from disk": lambda lists, path: _saved(_rows(lists), path),
    "a selection from disk": lambda lists, path: _saved(_rows([[9], *lists]).select(range(1, len(lists) + 1)), path),
}


@pytest.mark.parametrize("how", MAKERS)
def test_a_ragged_column_gives_the_rows_lists(how, tmp_path):
    column = ragged(MAKERS[how](LISTS, tmp_path), "ids")
    assert len(column) == len(LISTS)
    assert [column[row].tolist() for row in range(len(column))] == LISTS
    assert column.sizes.tolist() == [len(row) for row in LISTS]
    assert column[3].dtype == np.int32


@pytest.mark.parametrize("how", ["in memory", "from disk"])
def test_a_column_of_empty_lists_keeps_its_type(how, tmp_path):
    column = ragged(MAKERS[how]([[], []], tmp_path), "ids")
    assert column.sizes.tolist() == [0, 0]
    assert (column[1].tolist(), column[1].dtype) == ([], np.int32)


def test_a_column_without_rows_is_empty():
    for rows in (_rows([]), _rows(LISTS).select([])):
        column = ragged(rows, "ids")
        assert (len(column), column.sizes.tolist()) == (0, [])


def test_a_row_is_a_view():
    """Batches are cut from one array: copies of whole documents would be made for every window."""
    column = ragged(_rows(LISTS), "ids")
    assert np.shares_memory(column[3], column.values)
