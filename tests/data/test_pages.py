"""Pages in all formats give the same rows, and errors in a file name the line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict

from secateur.data import pages as reading
from secateur.data.pages import load_pages
from secateur.data.sources import Source
from secateur.errors import SecateurError
from tests.pages import annotation, hub, original, page, span, write


def load(tmp_path: Path, *train: Path, **settings: Any) -> DatasetDict:
    test = write(tmp_path / "test.jsonl", [page(0)])
    source = Source(name="nq", train_files=list(map(str, train)), test_files=[str(test)])
    return load_pages(source, tmp_path / "rows", **{"processes": 1, **settings})


def test_what_a_row_holds(tmp_path: Path) -> None:
    """Top-level candidates alone, without tags; each word with its token of the page; markers by kind and position."""
    (row,) = load(tmp_path, write(tmp_path / "one.jsonl", [page(3)]))["train"]
    assert (row["id"], row["title"], row["question"]) == ("1003", "doors 3", "what colour is door 3")
    assert row["markers"] == ["[Paragraph=1]", "[Table=1]", "[Paragraph=2]"]
    assert row["texts"] == ["This is about door 3 .", "old", "The door number 3 is blue today ."]
    tokens = page(3)["document_text"].split(" ")
    assert [tokens[token] for token in row["words"]] == " ".join(row["texts"]).split(" ")
    assert row["candidates"] == [4, 12, 12, 19, 19, 29]
    assert (row["long_answers"], row["short_answers"], row["yes_no_answers"]) == ([19, 29], [[]], ["YES"])


@pytest.mark.parametrize("form", [original, lambda simplified: simplified], ids=["original", "simplified"])
@pytest.mark.parametrize("name", ["pages.jsonl", "pages.jsonl.gz"])
def test_all_forms_of_a_file_give_the_same_rows(
    form: Callable[[dict[str, Any]], dict[str, Any]], name: str, tmp_path: Path
) -> None:
    expected = load(tmp_path / "expected", write(_folder(tmp_path) / "pages.jsonl", map(page, range(6))))
    found = load(tmp_path, write(tmp_path / name, (form(page(number)) for number in range(6))))
    assert found["train"][:] == expected["train"][:]


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "expected").mkdir()
    return tmp_path / "expected"


def test_the_hubs_rows_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Dataset.from_list([hub(page(number)) for number in range(6)])
    monkeypatch.setattr(reading, "load_splits", lambda _: {name: [(name, "hub", rows)] for name in ("train", "test")})
    found = load_pages(Source(name="nq", hub="nq"), tmp_path / "hub", processes=1)
    expected = load(tmp_path, write(tmp_path / "pages.jsonl", map(page, range(6))))
    assert found["train"][:] == expected["train"][:]


def test_a_stream_of_several_files_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is handed out at a time, and blank lines are none."""
    monkeypatch.setattr(reading, "_PAGES", 2)
    one = write(tmp_path / "one.jsonl", map(page, range(5)))
    other = write(tmp_path / "other.jsonl.gz", map(page, range(5, 8)))
    one.write_text(one.read_text() + "\n\n")
    assert load(tmp_path, one, other)["train"]["id"][:] == [str(1000 + number) for number in range(8)]
    assert len(list((tmp_path / "rows" / "train").glob("*.arrow"))) == 5


def test_several_processes_read_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the file, whoever is done first; and a mistake is told as by one process."""
    monkeypatch.setattr(reading, "_PAGES", 2)
    file = write(tmp_path / "pages.jsonl", map(page, range(9)))
    expected = load(tmp_path, file)
    source = Source(name="nq", train_files=[str(file)], test_files=[str(file)])
    found = load_pages(source, tmp_path / "several", processes=2)
    assert found["train"][:] == expected["train"][:]
    wrong = write(tmp_path / "broken.jsonl", [*map(page, range(9)), broken(document_text="")])
    source = Source(name="nq", train_files=[str(wrong)], test_files=[str(file)])
    with pytest.raises(SecateurError, match=r"broken\.jsonl: line 10: the page is empty"):
        load_pages(source, tmp_path / "wrong", processes=2)


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that died is gone on with: pieces that are there stay, the others are made."""
    monkeypatch.setattr(reading, "_PAGES", 2)
    file = write(tmp_path / "one.jsonl", map(page, range(6)))
    plain, parsed = reading.page_of, []

    def dying(record: Any, *, where: str) -> Any:
        parsed.append(record["example_id"])
        if len(parsed) == 5:
            raise KeyboardInterrupt
        return plain(record, where=where)

    monkeypatch.setattr(reading, "page_of", dying)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, file)
    assert load(tmp_path, file)["train"]["id"][:] == [str(1000 + number) for number in range(6)]
    assert parsed == [1000, 1001, 1002, 1003, 1004, 1004, 1005, 1000]


def broken(**changes: Any) -> dict[str, Any]:
    return {**page(0), **changes}


LONG = page(0)["long_answer_candidates"][3]
MISTAKES = {
    "a candidate beyond the page": (
        broken(long_answer_candidates=[span(4, 99)]),
        "candidate 0: tokens 4 to 99 are not a span of the page of 29",
    ),
    "a short answer beyond the page": (
        broken(annotations=[annotation(LONG, candidate=3, short=[(28, 31)])]),
        "annotation 0, short answer 0: tokens 28 to 31 are not a span of the page of 29",
    ),
    "a span the wrong way round": (broken(long_answer_candidates=[span(9, 4)]), "candidate 0: tokens 9 to 4 are not"),
    "an annotation that points at no candidate": (
        broken(annotations=[annotation(), annotation(LONG, candidate=7)]),
        "annotation 1: points to candidate 7, but the page has 4 candidates, numbered from 0",
    ),
    "an annotation that points at another candidate": (
        broken(annotations=[annotation(LONG, candidate=1)]),
        "annotation 0: the long answer is tokens 19 to 29, but its candidate 1 is tokens 12 to 19",
    ),
    "a short answer alone": (
        broken(annotations=[annotation(short=[(4, 5)])]),
        "annotation 0: has a short answer or yes",
    ),
    "neither yes nor no": (
        broken(annotations=[annotation(LONG, candidate=3, yes_no="MAYBE")]),
        "annotation 0: yes_no_answer='MAYBE': must be NONE, YES or NO",
    ),
    "an empty page": (broken(document_text=""), "the page is empty"),
    "no question": (broken(question_text=" "), "the question is empty"),
    "no annotation": (broken(annotations=[]), "has no annotation"),
    "another kind of record": ({"context": "SQuAD's"}, "not a page of Natural Questions: has neither document_text"),
    "a member of another type": (
        broken(long_answer_candidates="none"),
        "not a page of Natural Questions: 'long_answer_candidates' is missing or of the",
    ),
}


@pytest.mark.parametrize(("record", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_with_file_and_line(record: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "pages.jsonl", [page(1), page(2), record])
    with pytest.raises(SecateurError) as error:
        load(tmp_path, file)
    assert str(error.value).startswith(f"{file}: line 3: {message}")
    assert "\n" not in str(error.value)


LINE = json.dumps(page(1)).encode() + b"\n"
FILES = {
    "bytes that are not UTF-8": ("p.jsonl", LINE + b'{"a": "\xff"}\n', "line 2: byte 0xff is not UTF-8"),
    "no JSON": ("p.jsonl", LINE + b'{"a": \n', "line 2, column 1"),
    "a truncated gzip": ("p.jsonl.gz", gzip.compress(LINE * 3)[:-30], "line 1: the gzip data is cut short"),
    "no gzip": ("p.jsonl.gz", LINE, "line 1: damaged gzip"),
    "no pages": ("p.jsonl", b"\n", "no pages in it"),
    "an id that occurs twice": ("p.jsonl", LINE + LINE, "pages 1 and 2 of this split both have the example_id '1001'"),
    "half of a surrogate pair": (
        "p.jsonl",
        LINE + json.dumps(broken(document_title="A \ud800")).encode() + b"\n",
        "line 2: half of a surrogate pair, '\\ud800', after",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_files_that_cannot_be_read_are_told(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SecateurError) as error:
        load(tmp_path, tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))
    assert message in str(error.value)


def test_columns_cannot_be_renamed(tmp_path: Path) -> None:
    source = Source(name="nq", train_files=["a"], test_files=["b"], columns={"question": "q"})
    with pytest.raises(SecateurError, match=r"^dataset\.columns\.question"):
        load_pages(source, tmp_path)
