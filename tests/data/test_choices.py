"""Reading multiple choice: RACE, the hub and custom tables give one schema; errors name the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from secateur.data.choices import FEATURES, load_choices
from secateur.data.sources import Source
from secateur.errors import SecateurError

# As conf/dataset/race.yaml has them.
RACE = {"id": ["id", "example_id"], "question": ["question", "questions"], "answer": ["answer", "answers"]}
OPTIONS = ["red", "green", "blue"]
ROW = {"article": "The door is green.", "question": "What is it?", "options": OPTIONS, "answer": "B"}
NESTED = {
    "id": "middle7.txt",
    "article": "The door is green.",
    "questions": ["The door is _ .", "What is green?"],
    "options": [OPTIONS, ["the wall", "the door"]],
    "answers": ["B", "B"],
}


def _jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _load(*files: Path, **settings: Any) -> DatasetDict:
    names = [str(file) for file in files]
    return load_choices(Source(name="mine", train_files=names, test_files=names, **settings))


def test_an_article_a_line_becomes_a_question_a_row(tmp_path):
    """RACE's own files: the article's id is that of all its questions, which are numbered."""
    rows = _load(_jsonl(tmp_path / "dev.middle.jsonl", NESTED), columns=RACE)
    assert rows["train"].features == rows["test"].features == FEATURES
    assert rows["test"].to_list() == [
        {
            "id": f"middle7.txt:{number}",
            "title": "The door is green.",
            "article": "The door is green.",
            "question": question,
            "options": options,
            "label": 1,
            "part": "middle",
        }
        for number, (question, options) in enumerate(zip(NESTED["questions"], NESTED["options"], strict=True), start=1)
    ]


def test_the_hub_gives_the_rows_that_the_files_give(tmp_path, monkeypatch):
    """``ehovy/race`` has one question a row, and its article's id in another column."""
    questions = zip(NESTED["questions"], NESTED["options"], NESTED["answers"], strict=True)
    hub = [
        {
            "example_id": NESTED["id"],
            "article": NESTED["article"],
            "question": question,
            "options": options,
            "answer": a,
        }
        for question, options, a in questions
    ]
    splits = DatasetDict(dict.fromkeys(("train", "test"), Dataset.from_list(hub)))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: splits)
    ours = load_choices(Source(name="race", hub="ehovy/race", hub_test_split="test", columns=RACE))["test"]
    theirs = _load(_jsonl(tmp_path / "middle.jsonl", NESTED), columns=RACE)["test"]
    assert ours.remove_columns("part").to_list() == theirs.remove_columns("part").to_list()


def test_joined_files_are_the_parts_that_their_names_end_on(tmp_path):
    files = [_jsonl(tmp_path / f"dev.{part}.jsonl", {**NESTED, "id": f"{part}1"}) for part in ("middle", "high")]
    rows = _load(*files, columns=RACE)["test"]
    assert rows["part"][:] == ["middle", "middle", "high", "high"]
    assert rows["id"][:] == ["middle1:1", "middle1:2", "high1:1", "high1:2"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "answers", [["B", "A"], ["1", "0"], ["green", "yes, red"]], ids=["letters", "numbers", "texts"]
)
def test_own_tables_with_options_in_columns(tmp_path, suffix, answers):
    """Empty cells at the end stand for no option; rows without an id are called by their place."""
    frame = pd.DataFrame({"text": ["x", "y"], "q": ["?", "??"], "a": answers})
    frame[["one", "two", "three"]] = [["red", "green", "blue"], ["yes, red", "no", ""]]
    path = tmp_path / f"my.{suffix}"
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    columns = {"article": "text", "question": "q", "answer": "a", "options": ["options", "one+two+three"]}
    rows = _load(path, columns=columns)["train"]
    assert rows["options"][:] == [["red", "green", "blue"], ["yes, red", "no"]]
    assert rows["label"][:] == [1, 0]
    assert rows["id"][:] == [f"my.{suffix}:1", f"my.{suffix}:2"]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_own_tables_with_options_in_a_list(tmp_path, suffix):
    path = tmp_path / f"my.{suffix}"
    if suffix == "jsonl":
        _jsonl(path, {**ROW, "answer": 1, "title": "Doors"})
    else:
        pd.DataFrame([{**ROW, "answer": 1, "title": "Doors"}]).to_parquet(path)
    (row,) = _load(path)["train"].to_list()
    assert (row["options"], row["label"], row["title"]) == (OPTIONS, 1, "Doors")


@pytest.mark.parametrize(("options", "label"), [(["B", "A", "C"], 1), (["1", "2", "3"], 1)])
def test_letters_stay_letters_whatever_the_options_read(tmp_path, options, label):
    """How answers are written is a matter of the file, not of a row's options."""
    rows = _load(_jsonl(tmp_path / "my.jsonl", {**ROW, "options": options}, ROW))["train"]
    assert rows["label"][0] == label


BAD = {
    "no article": ({"article": None}, "row 2: the article is None, but a text is needed"),
    "a blank question": ({"question": " "}, "row 2: the question is ' ', but a text is needed"),
    "options as one text": ({"options": "red, green"}, r"row 2: the options are 'red, green', but a list.*=A\+B\+C"),
    "one option": ({"options": ["red"], "answer": "A"}, "row 2: the number of options is 1, it must be 2 to 26"),
    "an empty option": ({"options": ["red", "", "blue"]}, "row 2: the option B is '', but a text is needed"),
    "an option that is no text": ({"options": ["red", 2]}, "row 2: the option B is 2, but a text is needed"),
    "no answer": ({"answer": ""}, "row 2: no answer; fill it in"),
    "a letter beyond": ({"answer": "D"}, "row 2: the answer D is beyond its 3 options, up to C"),
    "a list of answers": ({"question": ["a", "b"]}, r"row 2: each of its questions needs one list .*\(question: 2, "),
    "too few answers": (
        {"question": ["a", "b"], "options": [OPTIONS, OPTIONS], "answer": ["A"]},
        r"row 2: .* \(question: 2, options: 2, answer: 1\)",
    ),
    "an option short, nested": (
        {"question": ["a", "b"], "options": [OPTIONS, ["x"]], "answer": ["A", "A"]},
        "row 2, question 2: the number of options is 1",
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_bad_row_is_named_in_one_line(tmp_path, mistake):
    changes, message = BAD[mistake]
    path = _jsonl(tmp_path / "my.jsonl", ROW, {**ROW, **changes})
    with pytest.raises(SecateurError, match=rf"my\.jsonl: {message}") as caught:
        _load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["0", "3"], "row 2: the answer 3 is beyond its 3 options, up to 2"),
        (["green", "grey"], "row 2: the answer 'grey' is not one of its options; the answers of a file must"),
        (["A", "grey"], "row 1: the answer 'A' is not one of its options; the answers of a file must"),
    ],
)
def test_answers_that_are_no_option_are_refused(tmp_path, answers, message):
    path = _jsonl(tmp_path / "my.jsonl", *({**ROW, "answer": answer} for answer in answers))
    with pytest.raises(SecateurError, match=rf"my\.jsonl: {message}"):
        _load(path)


@pytest.mark.parametrize("missing", ["article", "question", "options", "answer"])
def test_a_missing_column_is_named(tmp_path, missing):
    path = _jsonl(tmp_path / "my.jsonl", {name: value for name, value in ROW.items() if name != missing})
    with pytest.raises(SecateurError, match=rf"my\.jsonl: no column '{missing}' for dataset\.columns\.{missing}"):
        _load(path)


def test_columns_that_are_to_be_joined_must_all_be_there(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("article,question,answer,one\nx,y,A,red\n")
    with pytest.raises(SecateurError, match=r"no column 'one\+two' for dataset\.columns\.options"):
        _load(path, columns={"options": "one+two"})


def test_an_empty_file_and_a_column_of_another_task_are_refused(tmp_path):
    path = _jsonl(tmp_path / "my.jsonl")
    with pytest.raises(SecateurError, match=r"my\.jsonl: no rows in it; a split needs at least one"):
        _load(path)
    with pytest.raises(SecateurError, match=r"^dataset\.columns\.context: not a column of this task"):
        _load(path, columns={"context": "passage"})


@pytest.mark.real_data
def test_real_race_is_read_whole(shared):
    """The paper counts 1,436 and 3,451 questions in the two development sets."""
    names = {"train": ["dev.middle.jsonl"], "test": ["dev.middle.jsonl+dev.high.jsonl"]}
    rows = load_choices(Source(name="race", data_dir=str(shared / "data" / "race"), file_names=names, columns=RACE))
    assert [len(rows[split]) for split in ("train", "test")] == [1436, 1436 + 3451]
    assert len(set(rows["test"]["id"])) == len(rows["test"])
    assert set(rows["test"]["part"]) == {"middle", "high"}
    assert set(map(len, rows["test"]["options"])) == {4}
