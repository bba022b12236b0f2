"""Pages of Natural Questions (Kwiatkowski et al. 2019), read from their three formats, validated and unified.

The formats are the official original and simplified JSON, with one page and its question per line, and the hub's rows.
Token indices count over the complete page, including HTML tags; a span is its first token and its last token + 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from secateur.errors import SecateurError

Span = tuple[int, int]
NO_SPAN: Span = (-1, -1)
NONE, YES, NO = "NONE", "YES", "NO"

KINDS = ("Paragraph", "Table", "List", "Other")
MOST_POSITIONS = 50
"""From this position on, all candidates of a kind share the same marker."""

_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_KIND_OF_TAG = {"p": "Paragraph", "table": "Table", "ul": "List", "ol": "List", "dl": "List"}
_HUB_YES_NO: dict[Any, str] = {-1: NONE, 0: NO, 1: YES}


class Candidate(NamedTuple):
    """A part of the page that may be a long answer; only top-level candidates are shown to a model."""

    span: Span
    top_level: bool


class Annotation(NamedTuple):
    """One annotator's answer; ``long`` is :data:`NO_SPAN` if there is no answer, else the span of ``candidate``."""

    candidate: int
    long: Span
    short: list[Span]
    yes_no: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page and the question asked about it."""

    id: str
    title: str
    question: str
    tokens: Sequence[str]
    is_html: Sequence[bool]
    candidates: Sequence[Candidate]
    annotations: Sequence[Annotation]

    def shown(self) -> Iterator[tuple[str, Span, list[int]]]:
        """Marker, span and word tokens (no tags or blanks) of each top-level candidate, in page order."""
        seen: Counter[str] = Counter()
        for span, top_level in sorted(self.candidates):
            if top_level:
                kind = _kind(self.tokens[span[0]])
                seen[kind] += 1
                words = [token for token in range(*span) if not self.is_html[token] and self.tokens[token].strip()]
                yield marker(kind, seen[kind]), span, words


def marker(kind: str, position: int) -> str:
    """The token put before the candidate that is the ``position``-th of its kind, counted from 1."""
    return f"[{kind}={min(position, MOST_POSITIONS)}]"


MARKERS = tuple(marker(kind, position) for kind in KINDS for position in range(1, MOST_POSITIONS + 1))


def page_of(record: Any, *, where: str) -> Page:
    """Read one record in any of the three formats.

    Raises:
        SecateurError: if the record has none of these formats, the page is empty, or a span is outside the page; the
            message begins with ``where``.
    """
    if isinstance(record, Mapping) and "document_text" in record:
        tokens = _member(record, "document_text", str, where=where).split(" ")
        page = _official(record, tokens, [bool(_TAG.fullmatch(token)) for token in tokens], where=where)
    elif isinstance(record, Mapping) and "document_tokens" in record:
        listed = _member(record, "document_tokens", list, where=where)
        tokens = [_member(token, "token", str, where=where) for token in listed]
        page = _official(record, tokens, [bool(token.get("html_token")) for token in listed], where=where)
    elif isinstance(record, Mapping) and "document" in record:
        page = _hub(record, where=where)
    else:
        raise SecateurError(
            f"{where}: not a page of Natural Questions: has neither document_text (simplified format) nor "
            "document_tokens (original format) nor document (hub)"
        )
    _check(page, where=where)
    return page


def _official(record: Mapping[str, Any], tokens: list[str], is_html: list[bool], *, where: str) -> Page:
    page_id = str(_member(record, "example_id", (int, str), where=where))
    return Page(
        id=page_id,
        title=str(record.get("document_title") or record.get("document_url") or page_id),
        question=_member(record, "question_text", str, where=where),
        tokens=tokens,
        is_html=is_html,
        candidates=_candidates(_member(record, "long_answer_candidates", list, where=where), where=where),
        annotations=[
            _annotation(each, where=f"{where}: annotation {number}")
            for number, each in enumerate(_member(record, "annotations", list, where=where))
        ],
    )


def _hub(record: Mapping[str, Any], *, where: str) -> Page:
    document = _member(record, "document", Mapping, where=where)
    tokens = _member(document, "tokens", (Mapping, list), where=where)
    listed = _records(tokens, where=where)
    page_id = str(_member(record, "id", (int, str), where=where))
    annotations = _records(_member(record, "annotations", (Mapping, list), where=where), where=where)
    return Page(
        id=page_id,
        title=str(document.get("title") or document.get("url") or page_id),
        question=_member(_member(record, "question", Mapping, where=where), "text", str, where=where),
        tokens=[_member(token, "token", str, where=where) for token in listed],
        is_html=[bool(token.get("is_html")) for token in listed],
        candidates=_candidates(
            _records(_member(record, "long_answer_candidates", (Mapping, list), where=where), where=where), where=where
        ),
        annotations=[
            _annotation(
                {
                    **each,
                    "short_answers": _records(each.get("short_answers") or [], where=where),
                    "yes_no_answer": _HUB_YES_NO.get(each.get("yes_no_answer"), each.get("yes_no_answer")),
                },
                where=f"{where}: annotation {number}",
            )
            for number, each in enumerate(annotations)
        ],
    )


def _records(node: Any, *, where: str) -> list[dict[str, Any]]:
    """The records of a list, which the hub stores as a record of lists."""
    if not isinstance(node, Mapping):
        return list(node)
    columns = {name: values for name, values in node.items() if values is not None}
    if len({len(values) for values in columns.values()}) > 1:
        raise SecateurError(f"{where}: {', '.join(columns)} have different lengths; the row is damaged")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _candidates(listed: Sequence[Any], *, where: str) -> list[Candidate]:
    return [
        Candidate(_span(each, where=f"{where}: candidate {number}"), bool(each.get("top_level", True)))
        for number, each in enumerate(listed)
    ]


def _annotation(node: Any, *, where: str) -> Annotation:
    long = _member(node, "long_answer", Mapping, where=where)
    short = _member(node, "short_answers", list, where=where)
    return Annotation(
        candidate=_member(long, "candidate_index", int, where=where),
        long=_span(long, where=where),
        short=[_span(each, where=f"{where}, short answer {number}") for number, each in enumerate(short)],
        yes_no=str(node.get("yes_no_answer") or NONE),
    )


def _span(node: Any, *, where: str) -> Span:
    return _member(node, "start_token", int, where=where), _member(node, "end_token", int, where=where)


def _member(node: Any, key: str, kind: Any, *, where: str) -> Any:
    if not isinstance(node, Mapping) or not isinstance(node.get(key), kind):
        raise SecateurError(f"{where}: not a page of Natural Questions: {key!r} is missing or of the wrong type")
    return node[key]


def _kind(first_token: str) -> str:
    tag = re.match(r"<(\w+?)(?:_|>)", first_token)
    return _KIND_OF_TAG.get(tag[1].lower(), "Other") if tag else "Other"


# --- Checks on every page ---


def _check(page: Page, *, where: str) -> None:
    if not any(token.strip() for token in page.tokens):
        raise SecateurError(f"{where}: the page is empty; remove the line")
    if not page.question.strip():
        raise SecateurError(f"{where}: the question is empty; fill it in or remove the line")
    for number, (span, _) in enumerate(page.candidates):
        _check_span(span, page, where=f"{where}: candidate {number}")
    if not page.annotations:
        raise SecateurError(f"{where}: has no annotation; give at least one, without a long answer if necessary")
    for number, annotation in enumerate(page.annotations):
        _check_annotation(annotation, page, where=f"{where}: annotation {number}")


def _check_annotation(annotation: Annotation, page: Page, *, where: str) -> None:
    if annotation.yes_no not in (NONE, YES, NO):
        raise SecateurError(f"{where}: yes_no_answer={annotation.yes_no!r}: must be {NONE}, {YES} or {NO}")
    for number, span in enumerate(annotation.short):
        _check_span(span, page, where=f"{where}, short answer {number}")
    if annotation.long == NO_SPAN and annotation.candidate == -1:
        if annotation.short or annotation.yes_no != NONE:
            raise SecateurError(f"{where}: has a short answer or yes/no, but no long answer around it")
        return
    if not 0 <= annotation.candidate < len(page.candidates):
        raise SecateurError(
            f"{where}: points to candidate {annotation.candidate}, but the page has {len(page.candidates)} candidates, "
            "numbered from 0"
        )
    expected = page.candidates[annotation.candidate].span
    if annotation.long != expected:
        raise SecateurError(
            f"{where}: the long answer is tokens {annotation.long[0]} to {annotation.long[1]}, but its candidate "
            f"{annotation.candidate} is tokens {expected[0]} to {expected[1]}"
        )


def _check_span(span: Span, page: Page, *, where: str) -> None:
    first, end = span
    if not 0 <= first < end <= len(page.tokens):
        raise SecateurError(
            f"{where}: tokens {first} to {end} are not a span of the page of {len(page.tokens)} tokens; "
            "offsets count tokens from 0, and the end is exclusive"
        )
