"""``secateur-answer``: answer a question, and show where its answers are in the documents."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.errors import SecateurError
from secateur.serving.lengths import add_lengths, given_lengths

if TYPE_CHECKING:
    from secateur.serving.answerer import Answer

_DESCRIPTION = """\
Answer a question with a question-answering model, either from a store that secateur-encode built with this model, or
from a file of documents, which also works with an ordinary model. Prints the best answers with their documents and
character positions; scores are logits relative to that of no answer. With a store, its lengths apply; without one, the
defaults are those of secateur-encode."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given."""
    options = _parser().parse_args(arguments)
    try:
        found = answers_to(options)
    except SecateurError as error:
        sys.exit(str(error))
    if not found:
        print(f"{options.source}: no answer was found there", file=sys.stderr)
    for answer in found:
        print(json.dumps(asdict(answer), ensure_ascii=False) if options.json else _line(answer))


def answers_to(options: argparse.Namespace) -> list[Answer]:
    """The best answers to the question.

    Raises:
        SecateurError: if the model, the documents, the store and the question do not match.
    """
    if not options.source.exists():
        raise SecateurError(f"{options.source}: no such store or file; secateur-encode builds a store")
    from secateur.commands.launch import quiet_libraries
    from secateur.serving.answerer import Answerer
    from secateur.serving.document_store import DocumentStore
    from secateur.serving.documents import Corpus
    from secateur.serving.loading import load_for_serving

    quiet_libraries()
    settings: dict[str, Any] = {**given_lengths(options), "batch_size": options.batch_size}
    settings |= {"long_questions": "cut" if options.cut_questions else "error"}
    if options.source.is_dir():
        answerer = Answerer(*load_for_serving(options.model), store=DocumentStore(options.source), **settings)
        return answerer.answer(options.question, options.document, count=options.count)
    documents, asked = Corpus(options.source), options.document
    if missing := [id_ for id_ in asked or () if id_ not in documents]:
        raise SecateurError(f"--document {missing[0]}: {options.source} contains no such document")
    answerer = Answerer(*load_for_serving(options.model), **settings)
    chosen = (document for document in documents if asked is None or document.id in asked)
    return answerer.answer(options.question, chosen, count=options.count)


def _line(answer: Answer) -> str:
    text = " ".join(answer.text.split())
    return f"{answer.score:7.2f}  {text}  ({answer.document_id}, characters {answer.start} to {answer.end})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-answer", description=_DESCRIPTION, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a model folder")
    parser.add_argument(
        "source", metavar="STORE", type=Path, help="a store of this model, or documents (JSONL or SQuAD's JSON)"
    )
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--document", metavar="ID", action="append", help="search only this document; repeatable")
    parser.add_argument("--count", type=int, default=5, help="maximum number of answers")
    parser.add_argument("--cut-questions", action="store_true", help="cut a question that is too long, with a warning")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_lengths(parser)
    return parser
