"""Labelled rows: every format gives one schema, and errors name file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import DatasetDict

from secateur.configuration.instantiation import build, typed
from secateur.configuration.schema import Config, DatasetConfig
from secateur.data.labelled import load_classes, load_values
from secateur.data.sources import Source, fingerprint
from secateur.errors import SecateurError
from tests.glue import EXPECTED, OFFICIAL, found_rows, write_official
from tests.small_runs import composed


def _dataset(*overrides: str) -> DatasetConfig:
    return typed(composed(*overrides, output=Path("unused")), Config).dataset


def _rows_of(*overrides: str) -> DatasetDict:
    """The rows that the task of a composed config reads."""
    dataset = _dataset(*overrides)
    return build(dataset.task, key="dataset.task").load_rows(dataset.source())


def _write(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def _load(*files: Path, labels: list[str] | None = None, values: bool = False, **options: Any) -> DatasetDict:
    names = [str(file) for file in files]
    source = Source(name="mine", train_files=names, test_files=names[:1], **options)
    return load_values(source) if values else load_classes(source, labels=labels)


def _fails(*files: Path, match: str, **options: Any) -> None:
    with pytest.raises(SecateurError, match=match) as caught:
        _load(*files, **options)
    assert "\n" not in str(caught.value)


# --- Official files ---


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_are_read_as_they_are_distributed(name, tmp_path):
    """CoLA without a header, MRPC with a byte order mark, quotes as plain characters, an empty question in QQP."""
    rows = _rows_of(f"dataset={name}", f"dataset.data_dir={write_official(name, tmp_path)}")
    expected = [(text, pair, pytest.approx(label)) for text, pair, label in EXPECTED[name].rows]
    found = found_rows(rows)
    assert found["train"] == expected
    assert found["test"] == expected * (2 if name == "mnli" else 1)
    assert getattr(rows["train"].features["label"], "names", None) == EXPECTED[name].labels


def test_both_dev_sets_of_mnli_are_told_apart(tmp_path):
    rows = _rows_of("dataset=mnli", f"dataset.data_dir={write_official('mnli', tmp_path)}")
    assert rows["test"]["part"][:] == ["matched"] * 2 + ["mismatched"] * 2
    assert rows["test"]["id"][:] == [f"dev_{part}.tsv:{row}" for part in ("matched", "mismatched") for row in (1, 2)]
    (tmp_path / "dev_mismatched.tsv").unlink()
    with pytest.raises(SecateurError, match=r"no test file there \(looked for dev_matched\.tsv\+dev_mismatched\.tsv\)"):
        _rows_of("dataset=mnli", f"dataset.data_dir={tmp_path}")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder", "sizes", "test_classes"),
    [
        ("cola", "glue/CoLA", (8551, 1043), [322, 721]),
        ("mrpc", "glue/MRPC", (3668, 408), [129, 279]),
        ("rte", "glue/RTE", (2490, 277), [146, 131]),
        ("sst2", "glue/SST-2", (67349, 872), [428, 444]),
        ("qnli", "glue/QNLI", (5463, 5463), [2702, 2761]),
        ("boolq", "boolq", (1886, 3270), [1237, 2033]),
    ],
)
def test_real_files_have_their_published_rows_and_classes(shared, name, folder, sizes, test_classes):
    files = ["dataset.train_files=dev.tsv"] if name == "qnli" else []
    rows = _rows_of(f"dataset={name}", f"dataset.data_dir={shared / 'data' / folder}", *files)
    assert tuple(len(rows[split]) for split in ("train", "test")) == sizes
    labels = rows["test"]["label"][:]
    assert [labels.count(label) for label in (0, 1)] == test_classes
    assert all(bool(pair) == (name not in ("cola", "sst2")) for pair in rows["test"]["text_pair"])


@pytest.mark.real_data
def test_real_quotes_and_spaces_stay_as_they_are(shared):
    data_dir = f"dataset.data_dir={shared / 'data' / 'glue' / 'MRPC'}"
    row = _rows_of("dataset=mrpc", data_dir)["test"][0]
    assert row["text_pair"].startswith('" The foodservice pie business')
    assert row["label"] == 1


# --- One's own tables ---


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_own_tables_are_read_by_their_own_column_names(tmp_path, suffix):
    """Quoted fields of CSV and TSV hold separators and line breaks; no text stands for a missing value."""
    frame = pd.DataFrame({"said": ['so,\t"so"\nyes', "NA", "x"], "then": ["a", "None", "c"], "what": ["b", "a", "b"]})
    path = tmp_path / f"my.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep={"csv": ",", "tsv": "\t"}[suffix])
    rows = _load(path, columns={"text": "said", "text_pair": "then", "label": "what"})
    expected = [('so,\t"so"\nyes', "a", 1), ("NA", "None", 0), ("x", "c", 1)]
    assert found_rows(rows) == {"train": expected, "test": expected}
    assert rows["train"].features["label"].names == ["a", "b"]
    assert rows["train"]["id"][:] == [f"my.{suffix}:{row}" for row in (1, 2, 3)]


def test_single_texts_need_no_second_column(tmp_path):
    rows = _load(_write(tmp_path / "a.csv", "text,label\nyes,1\nno,0\n"))
    assert found_rows(rows)["train"] == [("yes", "", 1), ("no", "", 0)]


def test_rows_of_a_title_or_else_of_one_text_belong_together(tmp_path):
    path = _write(tmp_path / "a.csv", "id,title,text,label\n7,T,one,a\n8,,two,b\n")
    rows = _load(path)["train"]
    assert rows["title"][:] == ["T", "two"]
    assert rows["id"][:] == ["7", "8"]


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (["b", "a"], ["a", "b"]),
        (["10", "9"], ["9", "10"]),
        (["10", "x"], ["10", "x"]),
        ([True, False], ["False", "True"]),
        ([5, 1, 3], ["1", "3", "5"]),
    ],
    ids=str,
)
def test_names_of_classes_are_those_of_the_training_data_in_order(tmp_path, found, names):
    lines = [json.dumps({"text": "t", "label": label}) for label in found]
    rows = _load(_write(tmp_path / "a.jsonl", "\n".join(lines)))["train"]
    assert rows.features["label"].names == names
    assert rows["label"][:] == [names.index(str(label)) for label in found]


@pytest.mark.parametrize("given", [["no", "yes"], ["0", "1"], [False, True], [0, 1]], ids=str)
def test_labels_may_be_names_truth_values_or_indices(tmp_path, given):
    lines = [json.dumps({"text": "t", "label": label}) for label in given]
    assert _load(_write(tmp_path / "a.jsonl", "\n".join(lines)), labels=["no", "yes"])["train"]["label"][:] == [0, 1]


def test_truth_values_fit_classes_that_are_called_0_and_1(tmp_path):
    path = _write(tmp_path / "a.jsonl", '{"text": "t", "label": false}\n{"text": "t", "label": true}')
    assert _load(path, labels=["1", "0"])["train"]["label"][:] == [1, 0]


def test_an_index_is_none_where_names_are_numbers(tmp_path):
    """Five stars have no class 0, and 1 star is not the second of them."""
    train = _write(tmp_path / "a.csv", "text,label\nt,1\nt,2\n")
    test = _write(tmp_path / "b.csv", "text,label\nt,1\nt,0\n")
    source = Source(name="stars", train_files=[str(train)], test_files=[str(test)])
    with pytest.raises(SecateurError, match=r"b\.csv: row 2: the label '0' is not one of 1, 2; "):
        load_classes(source, labels=None)


def test_values_are_numbers_however_they_are_written(tmp_path):
    lines = [json.dumps({"text": "t", "label": label}) for label in (1, 2.5, "-3e-1")]
    rows = _load(_write(tmp_path / "a.jsonl", "\n".join(lines)), values=True)["train"]
    assert rows["label"][:] == pytest.approx([1, 2.5, -0.3])


# --- Mistakes ---


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "No columns"),
        ("a.csv", "text,label\n", "no rows in it"),
        ("a.jsonl", "", "no rows in it"),
        ("a.csv", "sentence,label\nt,a\n", r"no column 'text' .*set it to one of sentence, label"),
        ("a.csv", "text,class\nt,a\n", r"no column 'label' for dataset\.columns\.label; set it to one of text, class"),
        ("a.csv", "text,label\nt,a\n ,b\n", "row 2: the text is ' ', but a text is needed"),
        ("a.jsonl", '{"text": "t", "label": 0}\n{"text": 5, "label": 1}', "row 2: the text is 5, but a text"),
        ("a.jsonl", '{"text": "t", "text_pair": null, "label": 0}', "row 1: the text_pair is None, but a text"),
        ("a.csv", "text,label\nt,a\nt,\n", r"row 2: no label; .*\(test sets often have none\)"),
        ("a.csv", "text,label\nt,a\nt\n", "row 2: no label; "),
        ("a.csv", "text,label\nt,a\nu,a\n", r"dataset mine: a single label \(a\); at least two are needed"),
        ("a.csv", "id,text,label\n1,t,a\n1,u,b\n", "row 2: the id '1' occurs twice in this split"),
        ("a.csv", "text,label\nt,a\nt, well,b\n", "line 3"),
        ("a.csv", "text,label\nt, well,b\n", "more fields than there are column names; quote fields"),
        ("a.tsv", 'text\tlabel\n"t\ta\nt\tb\n', "EOF inside string"),
    ],
)
def test_broken_table_is_named_by_file_and_row(tmp_path, name, content, message):
    _fails(_write(tmp_path / name, content), match=message)


def test_unknown_label_is_named_by_file_and_row(tmp_path):
    path = _write(tmp_path / "a.csv", "text,label\nt,yes\nt,maybe\n")
    remedy = r"list all labels in dataset\.task\.labels"
    _fails(path, labels=["no", "yes"], match=rf"a\.csv: row 2: the label 'maybe' is not one of no, yes; {remedy}")


@pytest.mark.parametrize("label", ["high", "nan", "inf", "1,5"])
def test_a_number_that_is_none_is_named_by_file_and_row(tmp_path, label):
    path = _write(tmp_path / "a.tsv", f"text\tlabel\nt\t1\nt\t{label}\n")
    _fails(path, values=True, match=rf"a\.tsv: row 2: the label '{label}' is not a finite number; regression needs one")


def test_a_missing_number_is_a_missing_label(tmp_path):
    _fails(_write(tmp_path / "a.tsv", "text\tlabel\nt\t\n"), values=True, match=r"a\.tsv: row 1: no label")


def test_quotes_are_plain_characters_where_that_is_said(tmp_path):
    path = _write(tmp_path / "a.tsv", 'text\tlabel\n"t\ta\n"u"\tb\n')
    rows = _load(path, quoting=False)
    assert rows["train"]["text"][:] == ['"t', '"u"']


def test_too_many_fields_without_a_header(tmp_path):
    path = _write(tmp_path / "a.tsv", "t\ta\tmore\n")
    _fails(path, column_names=["text", "label"], match=r"a\.tsv: the rows have more fields than there are column names")


def test_columns_of_one_name_are_refused_unless_they_have_none(tmp_path):
    """Spreadsheets end rows with separators of columns that are empty."""
    path = _write(tmp_path / "a.tsv", "text\ttext\tlabel\na\tb\tno\nc\td\tyes\n")
    _fails(path, match=r"a\.tsv: 2 columns are called 'text'; give each a name of its own")
    path = _write(tmp_path / "b.tsv", "a\tb\tno\nc\td\tyes\n")
    _fails(path, column_names=["text", "text", "label"], match=r"b\.tsv: 2 columns are called 'text'")
    path = _write(tmp_path / "c.csv", "text,label,,\na,no,,\nb,yes,,\n")
    assert _load(path)["train"]["text"][:] == ["a", "b"]


def test_an_empty_file_without_a_header(tmp_path):
    _fails(_write(tmp_path / "a.tsv", ""), column_names=["text", "label"], match=r"a\.tsv: no rows in it")


def test_wrong_column_settings_name_the_key(tmp_path):
    path = _write(tmp_path / "a.csv", "text,label\nt,a\n")
    known = "its columns: id, title, text, text_pair, label"
    _fails(path, columns={"txt": "text"}, match=rf"^dataset\.columns\.txt: not a column of this task; {known}$")
    _fails(path, columns={"text_pair": "b"}, match=r"no column 'b' for dataset\.columns\.text_pair")
    _fails(path, columns={"label": ["x", "y"]}, match=r"no column 'x' or 'y' for dataset\.columns\.label")


# --- Keys ---


def test_fingerprint_depends_on_how_tables_are_read(tmp_path):
    """What column names and quotes mean decides what the rows are."""
    path = _write(tmp_path / "a.tsv", 'x\ty\n"t"\ta\n')
    files = f"dataset.train_files={path}", f"dataset.test_files={path}"
    settings = ["dataset.quoting=true", "dataset.quoting=false", "dataset.column_names=[x,y]", "dataset.columns.text=x"]
    prints = {fingerprint(_dataset("dataset=custom_classification", *files, setting).source()) for setting in settings}
    assert len(prints) == len(settings)
    again = _dataset("dataset=custom_classification", *files, "dataset.quoting=true").source()
    assert fingerprint(again) in prints
