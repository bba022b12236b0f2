"""Reading documents: two file formats, and every mistake reported with its position."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secateur.errors import SecateurError
from secateur.serving.documents import Corpus, Document, tokenize, windows_of


def test_jsonl_and_squad_give_documents_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "one"}\n\n{"id": 7, "text": "two"}\n', encoding="utf-8")
    assert list(Corpus(tmp_path / "a.jsonl")) == [Document(id="a", text="one"), Document(id="7", text="two")]
    squad = {"data": [{"title": "T", "paragraphs": [{"context": "one", "qas": []}, {"context": "two", "qas": []}]}]}
    (tmp_path / "a.json").write_text(json.dumps(squad), encoding="utf-8")
    assert list(Corpus(tmp_path / "a.json")) == [Document(id="T/0", text="one"), Document(id="T/1", text="two")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a", "text": "one"}\n{"id": "b"}', r"line 2: a document is an object with id and text"),
        ('{"id": "a", "text": "one"}\nnot json', r"line 2, column 1: not valid JSON"),
        ('{"id": "", "text": "one"}', r"line 1: id is empty; give the document a name"),
        (
            r'{"id": "a", "text": "one \ud800"}',
            r"line 1: half of a surrogate pair, '\\ud800', after .*one '; remove it",
        ),
        ('{"id": "a", "text": "  "}', r"line 1: document 'a' is empty; remove it"),
        (
            '{"id": "a", "text": "one"}\n{"id": "a", "text": "two"}',
            r"line 2: document 'a' occurs before with another",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(SecateurError, match=rf"^{tmp_path}/a\.jsonl: {message}"):
        Corpus(tmp_path / "a.jsonl")


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.json", '{"data": []}')])
def test_a_file_without_documents_is_refused(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SecateurError, match=rf"^{tmp_path}/{name}: contains no documents; give at least one"):
        Corpus(tmp_path / name)


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    for name, line in {"a.jsonl": 2, "a.json": 1}.items():
        (tmp_path / name).write_bytes(b'{"id": "a", "text": "one"}\n' * (line - 1) + b'{"id": "b", "text": "\xe9"}')
        with pytest.raises(SecateurError, match=rf"{name}: line {line}: byte 0xe9 is not UTF-8; convert the file$"):
            Corpus(tmp_path / name)


def test_a_file_that_is_not_there_or_not_squad_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecateurError, match=r"none\.jsonl: no such file"):
        Corpus(tmp_path / "none.jsonl")
    (tmp_path / "a.json").write_text('{"rows": []}', encoding="utf-8")
    with pytest.raises(SecateurError, match=r"a\.json: not SQuAD's JSON"):
        Corpus(tmp_path / "a.json")


def test_offsets_are_those_of_the_text_and_windows_cover_it(tokenizer, documents) -> None:
    (tokens,) = tokenize(documents[2:3], tokenizer)
    words = [documents[2].text[start:end].lower() for start, end in tokens.offsets]
    assert tokenizer.convert_ids_to_tokens(tokens.ids.tolist()) == [
        word if word in tokenizer.vocab else f"##{word}" for word in words
    ]
    windows = windows_of(len(tokens.ids), room=21, doc_stride=4)
    assert len(windows) > 1
    assert {place for _, first, size in windows for place in range(first, first + size)} == set(range(len(tokens.ids)))


def test_a_corpus_is_read_as_it_is_gone_through(tmp_path: Path) -> None:
    """Texts are not held: the file is read anew each time. A document that stands there twice comes once."""
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "one"}\n' * 2 + '{"id": "b", "text": "two"}\n')
    corpus = Corpus(tmp_path / "a.jsonl")
    assert (len(corpus), "b" in corpus, "c" in corpus) == (2, True, False)
    assert [document.id for document in corpus] == ["a", "b"]
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "three"}\n')
    assert list(corpus) == [Document(id="a", text="three")]


def test_a_document_without_tokens_is_refused(tokenizer) -> None:
    with pytest.raises(SecateurError, match=r"^document 'a': has no tokens; remove it$"):
        tokenize([Document(id="a", text="\u200b\u00ad")], tokenizer)
