"""Small pages in the formats of Natural Questions, and runs on them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

COLOURS = ("blue", "green", "red")
NOTHING: dict[str, Any] = {"long_answer": {"start_token": -1, "end_token": -1, "candidate_index": -1}}


def annotation(
    long: Mapping[str, Any] | None = None, *, candidate: int = -1, short: Any = (), yes_no: str = "NONE"
) -> Any:
    """What one annotator says; without ``long``, that there is no answer."""
    answer = NOTHING["long_answer"] if long is None else {**long, "candidate_index": candidate}
    return {"long_answer": answer, "short_answers": [span(*each) for each in short], "yes_no_answer": yes_no}


def span(start: int, end: int) -> dict[str, int]:
    return {"start_token": start, "end_token": end}


def page(number: int, *, annotators: int = 1) -> dict[str, Any]:
    """A page of a heading, a paragraph, a table with a row, and a paragraph, in the simplified form.

    Of six pages in a row two have a short answer, one a long one alone, one says yes, two have none.
    """
    colour = COLOURS[number % 3]
    text = (
        f"<H1> Door {number} </H1> <P> This is about door {number} . </P> <Table> <Tr> <Td> old </Td> </Tr> </Table> "
        f"<P> The door number {number} is {colour} today . </P>"
    )
    tokens = text.split(" ")
    table, last = tokens.index("<Table>"), len(tokens) - tokens[::-1].index("<P>") - 1
    candidates = [
        {**span(4, table), "top_level": True},
        {**span(table, last), "top_level": True},
        {**span(table + 1, last - 1), "top_level": False},
        {**span(last, len(tokens)), "top_level": True},
    ]
    where = tokens.index(colour)
    kinds = {
        0: annotation(candidates[3], candidate=3, short=[(where, where + 1)]),
        1: annotation(candidates[3], candidate=3, short=[(where, where + 1)]),
        2: annotation(candidates[1], candidate=1),
        3: annotation(candidates[3], candidate=3, yes_no="YES"),
    }
    return {
        "example_id": 1000 + number,
        "document_title": f"doors {number % 12}",
        "document_text": text,
        "question_text": f"what colour is door {number}",
        "long_answer_candidates": candidates,
        "annotations": [kinds.get(number % 6, annotation())] * annotators,
    }


def original(simplified: Mapping[str, Any]) -> dict[str, Any]:
    """The same page in the original form."""
    tokens = [{"token": token, "html_token": token.startswith("<")} for token in simplified["document_text"].split(" ")]
    rest = {name: value for name, value in simplified.items() if name != "document_text"}
    return {**rest, "document_tokens": tokens, "document_html": "<html>"}


def hub(simplified: Mapping[str, Any]) -> dict[str, Any]:
    """The same page as a row on the hub."""
    tokens = simplified["document_text"].split(" ")
    given = simplified["annotations"]
    return {
        "id": str(simplified["example_id"]),
        "document": {
            "title": simplified["document_title"],
            "tokens": {"token": tokens, "is_html": [token.startswith("<") for token in tokens]},
        },
        "question": {"text": simplified["question_text"]},
        "long_answer_candidates": _columns(
            simplified["long_answer_candidates"], "start_token", "end_token", "top_level"
        ),
        "annotations": {
            "long_answer": [each["long_answer"] for each in given],
            "short_answers": [_columns(each["short_answers"], "start_token", "end_token") for each in given],
            "yes_no_answer": [{"NONE": -1, "NO": 0, "YES": 1}[each["yes_no_answer"]] for each in given],
        },
    }


def _columns(rows: Iterable[Mapping[str, Any]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def write(path: Path, pages: Iterable[Mapping[str, Any]]) -> Path:
    """One page a line; gzip where the name says so."""
    text = "".join(json.dumps(each) + "\n" for each in pages)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def dataset(folder: Path) -> tuple[str, ...]:
    """Overrides for 60 pages to train on and 12 to test on."""
    write(folder / "train.jsonl", map(page, range(60)))
    write(folder / "dev.jsonl.gz", (page(number, annotators=5) for number in range(12)))
    return (
        "dataset=natural_questions",
        f"dataset.data_dir={folder}",
        "dataset.max_seq_length=48",
        "dataset.max_question_length=8",
        "dataset.doc_stride=8",
        "dataset.task.include_unknowns=0.5",
        "dataset.task.max_answer_length=8",
        "model.vocabulary_size=120",
    )
