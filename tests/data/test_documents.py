"""Documents are indexed in their files: blank lines and files separate them, and their text is read on demand."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from datasets import Dataset, DatasetDict

from secateur.configuration.instantiation import build, typed
from secateur.configuration.schema import Config
from secateur.data.documents import all_paragraphs, load_documents, paragraphs
from secateur.data.sources import Source, fingerprint
from secateur.errors import SecateurError
from tests.small_runs import composed

ONE = "\ufeffThe fox.\nIt runs, \u2028fast.\n\n \nThe café.\r\n\r\nThe dog.\n"
FILE_NAMES = {"train": ["train.txt", "*.txt"], "test": ["test.txt"]}


def _folder(tmp_path: Path, **texts: str) -> Source:
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
    return Source(name="mine", data_dir=str(tmp_path), file_names=FILE_NAMES, test_share=0.25)


def _texts(rows: Dataset) -> list[list[str]]:
    return paragraphs(rows[:])


def test_blank_lines_and_files_part_documents(tmp_path):
    """A byte order mark, other line ends and blanks are no text; a document ends with its file."""
    rows = load_documents(_folder(tmp_path, a=ONE, b="Last line", test="Apart.\n"))
    assert _texts(rows["train"]) == [["The fox.", "It runs, \u2028fast."], ["The café."], ["The dog."], ["Last line"]]
    assert _texts(rows["test"]) == [["Apart."]]
    assert rows["train"]["id"][:] == ["a.txt:1", "a.txt:2", "a.txt:3", "b.txt:1"]
    assert rows["train"]["title"][:2] == ["The fox.", "The café."]
    assert list(all_paragraphs(rows["train"]))[1:3] == ["It runs, \u2028fast.", "The café."]


def test_rows_hold_places_not_texts(tmp_path):
    """A corpus may be larger than memory."""
    rows = load_documents(_folder(tmp_path, a="word " * 5000 + "\n\n" + "other " * 5000, test="Apart."))["train"]
    assert rows.data.nbytes < 1000


def test_a_fixed_share_of_the_documents_is_test_where_there_is_no_test_file(tmp_path):
    source = _folder(tmp_path, wiki="\n\n".join(f"Document {n}." for n in range(40)))
    rows = load_documents(source)
    train, test = ({text for (text,) in _texts(rows[split])} for split in ("train", "test"))
    assert (len(train), len(test)) == (30, 10)
    assert not train & test
    again = load_documents(source)
    assert again["test"]["id"][:] == rows["test"]["id"][:]
    (tmp_path / "test.txt").write_text("Apart.")
    assert _texts(load_documents(source)["test"]) == [["Apart."]]
    assert len(load_documents(source)["train"]) == 40


def test_the_share_is_part_of_the_fingerprint(tmp_path):
    source = _folder(tmp_path, wiki="A.\n\nB.")
    other = Source(name="mine", data_dir=str(tmp_path), file_names=FILE_NAMES, test_share=0.5)
    assert fingerprint(source) != fingerprint(other)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n \n", r"a\.txt: no text in it; "),
        ("a.txt", b"one\n\xff\n", r"a\.txt: line 2: byte 0xff is not UTF-8; "),
        ("a.parquet", b"", r"a\.parquet: documents are read from plain text, not from \.parquet; "),
    ],
)
def test_refuses_what_is_no_text(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    files = [str(tmp_path / name)]
    with pytest.raises(SecateurError, match=message + r"[^\n]*$"):
        load_documents(Source(name="mine", train_files=files, test_files=files))


def test_without_a_share_a_test_split_is_needed(tmp_path):
    (tmp_path / "train.txt").write_text("A.\n\nB.")
    with pytest.raises(SecateurError, match=r"no test file there \(looked for test\.txt\)"):
        load_documents(Source(name="mine", data_dir=str(tmp_path), file_names=FILE_NAMES))


def test_one_document_cannot_be_parted(tmp_path):
    with pytest.raises(SecateurError, match=r"^the 1 rows of the training data share one id, .* held out for test; "):
        load_documents(_folder(tmp_path, wiki="A.\nB.\n"))


def _articles(monkeypatch: pytest.MonkeyPatch, **columns: list[str]) -> list[tuple]:
    asked = []

    def load_dataset(path: str, name: str | None, *, revision: str | None) -> DatasetDict:
        asked.append((path, name))
        return DatasetDict({"train": Dataset.from_dict(columns)})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_wikipedia_is_read_by_the_hub_s_names(monkeypatch):
    """It has one split; a tenth of it is test."""
    texts = [f"Fox {n}.\n\nIt runs {n} times." for n in range(20)]
    numbers = [str(n) for n in range(20)]
    asked = _articles(monkeypatch, id=numbers, url=numbers, title=[f"T{n}" for n in numbers], text=texts)
    dataset = typed(composed("dataset=wikipedia", output=Path("unused")), Config).dataset
    rows = build(dataset.task, key="dataset.task").load_rows(dataset.source())
    assert asked == [("wikimedia/wikipedia", "20231101.en")]
    assert (len(rows["train"]), len(rows["test"])) == (18, 2)
    assert set(rows["train"].column_names) == {"id", "title", "text"}
    assert _texts(rows["test"])[0][0].startswith("Fox")
    assert all(len(lines) == 2 for split in rows.values() for lines in _texts(split))


def test_wikipedia_is_read_from_local_text_too(tmp_path):
    """The hub's names of columns and its split are no business of files."""
    (tmp_path / "articles.txt").write_text("\n\n".join(f"Fox {n}.\nIt runs." for n in range(20)), encoding="utf-8")
    dataset = typed(
        composed("dataset=wikipedia", f"dataset.data_dir={tmp_path}", output=Path("unused")), Config
    ).dataset
    rows = build(dataset.task, key="dataset.task").load_rows(dataset.source())
    assert (len(rows["train"]), len(rows["test"])) == (18, 2)
    assert _texts(rows["train"])[0][1] == "It runs."


def test_rows_without_ids_are_numbered_and_the_text_has_to_be_there(monkeypatch):
    _articles(monkeypatch, content=["A.", "B."])
    source = Source(name="x", hub="x/y", hub_test_split=None, test_share=0.5, columns={"text": "content"})
    rows = load_documents(source)
    assert sorted(rows["train"]["id"][:] + rows["test"]["title"][:]) == ["train:1", "train:2"]
    with pytest.raises(SecateurError, match=r"^hub data set x/y, split train: no column 'text'"):
        load_documents(Source(name="x", hub="x/y", hub_test_split=None, test_share=0.5))
