"""SQuAD's articles as pages: read back by the data set, with the answers where SQuAD has them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from secateur.data.page_windows import target
from secateur.data.pages import load_pages
from secateur.data.sources import Source

CONTEXTS = [
    "Ada sold two (red) boats in 1903, not three.",
    "Boris found nothing.",
    "Clara's 19th-century lamp is blue.",
]


def qa(number: int, question: str, *answers: str, context: str) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "question": question,
        "is_impossible": not answers,
        "answers": [{"text": answer, "answer_start": context.index(answer)} for answer in answers],
    }


@pytest.fixture(scope="module")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An article of three paragraphs: three annotators, no answer, an answer within a word."""
    questions = [
        [
            qa(1, "When?", "1903", "in 1903", "1903", context=CONTEXTS[0]),
            qa(2, "Which colour?", "red", context=CONTEXTS[0]),
        ],
        [qa(3, "What did Boris find?", context=CONTEXTS[1])],
        [qa(4, "How old?", "19th", context=CONTEXTS[2]), qa(5, "A part of a word?", "lam", context=CONTEXTS[2])],
    ]
    paragraphs = [{"context": c, "qas": q} for c, q in zip(CONTEXTS, questions, strict=True)]
    file = tmp_path_factory.mktemp("squad") / "squad.json"
    file.write_text(json.dumps({"data": [{"title": "Boats_and_lamps", "paragraphs": paragraphs}]}))
    return file


def converted(squad: Path, file: Path, *options: str) -> list[dict[str, Any]]:
    """The rows that the data set reads of what the script wrote."""
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "squad_as_nq"))
    script["main"](script["parsed"]([str(squad), str(file), *options]))
    source = Source(name="pages", train_files=[str(file)], test_files=[str(file)])
    return list(load_pages(source, file.parent / "rows", processes=1)["test"])


def said(row: dict[str, Any]) -> tuple[str, str]:
    """The type of the answer, and the words of its span."""
    kind, (first, end) = target(row)
    words = " ".join(row["texts"]).split(" ")
    return kind, " ".join(word for word, token in zip(words, row["words"], strict=True) if first <= token < end)


@pytest.mark.parametrize("name", ["dev.jsonl", "dev.jsonl.gz"])
def test_answers_are_where_squad_has_them(squad: Path, name: str, tmp_path: Path) -> None:
    rows = converted(squad, tmp_path / name)
    assert [said(row) for row in rows] == [
        ("short", "1903"),
        ("short", "red"),
        ("none", ""),
        ("short", "19th"),
        ("short", "lamp"),
    ]
    first = rows[0]
    assert first["texts"][0] == "Ada sold two ( red ) boats in 1903 , not three ."
    assert first["markers"] == ["[Paragraph=1]", "[Paragraph=2]", "[Paragraph=3]"]
    assert len(first["long_answers"]) == 6, "each answer given is an annotator"
    assert first["long_answers"][:2] == first["candidates"][:2]
    assert {row["title"] for row in rows} == {"Boats_and_lamps"}


def test_long_articles_are_several_pages(squad: Path, tmp_path: Path) -> None:
    rows = converted(squad, tmp_path / "dev.jsonl", "--paragraphs", "2")
    assert [len(row["texts"]) for row in rows] == [2, 2, 2, 1, 1]
    assert said(rows[3]) == ("short", "19th")
