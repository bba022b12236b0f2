"""Published figures are shown next to a row of the same setting, and next to no other."""

import io

import pytest
from rich.console import Console

from secateur.report.lines import row_lines
from secateur.report.published import published_of
from secateur.report.rows import group
from secateur.report.table import render
from tests.records import make_record, theseus


def compressed(record):
    return next(row for row in group([record]) if not row.dense)


def test_a_row_of_the_papers_setting_has_its_figures():
    found = published_of(compressed(theseus()))
    assert (found.score, found.dense, found.speedup, found.statistic) == (89.0, 89.5, 1.94, "median of 5")
    assert "2002.02925, table 2" in found.source


@pytest.mark.parametrize(
    "change", [{"layers": 5}, {"limit_test": 100}, {"model": "tiny"}, {"distillation": "logits"}, {"metric": "f1"}]
)
def test_another_setting_has_none(change):
    assert published_of(compressed(theseus(**change))) is None


def test_prices_of_gates_are_compared_as_numbers():
    config = {"method": {"lambda_heads": 0.001875, "lambda_units": 7.5e-06}, "dataset": {}}
    record = make_record(method="l0_apart", model="bert_large", dataset="squad_v2", sparsity=None, config=config)
    assert published_of(compressed(record)).score == 83.7


def test_the_table_and_the_csv_mark_them_as_published():
    console = Console(width=100, file=io.StringIO())
    console.print(render([theseus()]))
    text = console.file.getvalue()
    assert "published kept %" in text and "99.4" in text and "not measured here" in text
    assert max(map(len, text.splitlines())) <= 100
    line = list(row_lines(group([theseus()])))[1]
    assert (line["published_score"], line["published_dense_score"], line["published_speedup"]) == (89.0, 89.5, 1.94)
