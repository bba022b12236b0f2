"""What rows of all tasks share: unique ids, default names, parts of file names."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from secateur.data.rows import id_of, part_of, title_of, unique_ids
from secateur.data.tables import Table
from secateur.errors import SecateurError


class Row(NamedTuple):
    where: str
    id: str


def test_the_second_row_of_one_id_is_told():
    rows = [Row("a.csv: row 1", "x"), Row("a.csv: row 2", "y"), Row("b.csv: row 1", "x")]
    assert list(unique_ids(rows[:2])) == rows[:2]
    with pytest.raises(SecateurError, match=r"^b.csv: row 1: the id 'x' occurs twice in this split; ids must differ$"):
        list(unique_ids(rows))


def test_rows_without_an_id_are_called_by_their_place():
    table = Table(origin="/data/a.csv", name="a.csv", columns={})
    assert [id_of(given, table=table, number=3) for given in (None, "", 0, "q")] == ["a.csv:3", "a.csv:3", "0", "q"]


def test_rows_without_a_title_are_called_by_the_beginning_of_their_text():
    assert title_of("", text="long " * 20) == ("long " * 20)[:60]
    assert title_of(7, text="long") == "7"


def test_parts_are_what_tells_files_or_splits_apart():
    names = ["dev_matched.tsv", "validation_mismatched", "dev.tsv", "dev.middle.jsonl"]
    assert [part_of(name) for name in names] == ["matched", "mismatched", "dev", "middle"]
