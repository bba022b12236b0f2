"""What a row must satisfy, and how it is called, whatever the task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from secateur.data.tables import Table
from secateur.errors import SecateurError

_TITLE_LENGTH = 60  # characters


class Named(Protocol):
    """A row as it was found; ``where`` names it in messages."""

    @property
    def where(self) -> str:
        """File and row."""

    @property
    def id(self) -> str:
        """Its own in its split."""


NamedRow = TypeVar("NamedRow", bound=Named)


def unique_ids(rows: Iterable[NamedRow]) -> Iterator[NamedRow]:
    """The rows of a split as they are.

    Raises:
        SecateurError: at the first whose id another has.
    """
    seen = set()
    for row in rows:
        if row.id in seen:
            raise SecateurError(f"{row.where}: the id {row.id!r} occurs twice in this split; ids must differ")
        seen.add(row.id)
        yield row


def id_of(given: Any, *, table: Table, number: int) -> str:
    """The id that a row was given, else FILE:ROW; rows are counted from 1."""
    return f"{table.name}:{number}" if given in (None, "") else str(given)


def title_of(given: Any, *, text: str) -> str:
    """The title that a row was given, else its text's beginning: rows of one text stay together in a split."""
    return text[:_TITLE_LENGTH] if given in (None, "") else str(given)


def required_text(value: Any, name: str, *, where: str) -> str:
    """The value as it is, which must be text and not blank.

    Raises:
        SecateurError: if it is not; ``where`` and ``name`` say which one.
    """
    if not isinstance(value, str) or not value.strip():
        raise SecateurError(f"{where}: the {name} is {value!r}, where a text is needed; fill it in or take the row out")
    return value


def part_of(name: str) -> str:
    """What tells a file or a split from its siblings, the last word of its name.

    That is ``matched`` of ``dev_matched.tsv``, and ``high`` of ``dev.high.jsonl``.
    """
    return re.split("[._]", Path(name).stem)[-1]
