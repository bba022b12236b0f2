"""Tables from the hub: each data set's name, columns, class names and splits there, on synthetic rows."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from datasets import Dataset, DatasetDict

from secateur.configuration.instantiation import build, typed
from secateur.configuration.schema import Config
from secateur.data.labelled import load_classes
from secateur.data.reading import load_tables
from secateur.data.sources import Source
from secateur.data.squad import load_rows
from secateur.errors import SecateurError
from tests.glue import EXPECTED, HUB, found_rows, hub_dataset
from tests.small_runs import composed


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Stands in for the hub; gives what it was asked for."""
    asked: list[tuple[str, str | None]] = []

    def load_dataset(path: str, name: str | None, *, revision: str | None) -> DatasetDict:
        asked.append((path, name))
        return hub_dataset(name or path.rpartition("/")[2])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize("name", HUB)
def test_data_sets_are_read_by_the_hub_s_names(name, hub):
    """Nothing is asked of its test sets, whose labels are kept back."""
    dataset = typed(composed(f"dataset={name}", output=Path("unused")), Config).dataset
    rows = build(dataset.task, key="dataset.task").load_rows(dataset.source())
    assert hub == [HUB[name][0]]
    expected = [(text, pair, pytest.approx(label)) for text, pair, label in EXPECTED[name].rows]
    assert found_rows(rows) == {"train": expected, "test": expected * (2 if name == "mnli" else 1)}
    assert getattr(rows["train"].features["label"], "names", None) == EXPECTED[name].labels


def test_both_dev_sets_of_mnli_are_told_apart(hub):
    dataset = typed(composed("dataset=mnli", output=Path("unused")), Config).dataset
    rows = build(dataset.task, key="dataset.task").load_rows(dataset.source())["test"]
    assert rows["part"][:] == ["matched"] * 2 + ["mismatched"] * 2
    assert len(set(rows["id"])) == 4


def test_a_label_that_the_hub_keeps_back_is_missing(hub):
    source = Source(
        name="rte", hub="nyu-mll/glue", hub_config="rte", hub_test_split="test", columns={"text": "sentence1"}
    )
    with pytest.raises(SecateurError, match=r"^hub data set nyu-mll/glue, split test: row 1: no label; fill it in"):
        load_classes(source, labels=["entailment", "not_entailment"])


def test_a_split_that_is_not_there_is_named_beside_those_that_are(hub):
    source = Source(name="mnli", hub="nyu-mll/glue", hub_config="mnli", hub_test_split="validation_matched+dev")
    message = r"has no split 'dev', only train, validation_matched, .*; dataset\.hub_test_split names the one"
    with pytest.raises(SecateurError, match=message):
        load_tables(source)


def test_classes_come_by_their_names_and_other_columns_as_they_are(hub):
    (table,) = load_tables(Source(name="rte", hub="nyu-mll/glue", hub_config="rte"))["test"]
    assert table.columns["label"] == ["entailment", "not_entailment"]
    assert table.columns["idx"] == [0, 1]
    assert (table.name, table.origin) == ("validation", "hub data set nyu-mll/glue, split validation")


def test_squad_2_has_questions_without_answers(monkeypatch):
    texts = [{"text": ["Ada"], "answer_start": [0]}, {"text": [], "answer_start": []}]
    rows = [
        {"id": str(n), "title": "T", "context": "Ada.", "question": "Who?", "answers": a} for n, a in enumerate(texts)
    ]
    split = Dataset.from_list(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: DatasetDict({"train": split, "validation": split}))
    dataset = typed(composed("dataset=squad_v2", output=Path("unused")), Config).dataset
    assert dataset.hub == "rajpurkar/squad_v2"
    assert build(dataset.task, key="dataset.task").version_2_with_negative
    assert load_rows(dataset.source())["test"]["answers"][:] == texts
