"""Checks and names that rows of all tasks share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from secateur.data.tables import Table
from secateur.errors import SecateurError

_TITLE_LENGTH = 60  # characters


class Named(Protocol):
    """A row as read; ``where`` identifies it in messages."""

    @property
    def where(self) -> str:
        """File and row."""

    @property
    def id(self) -> str:
        """Unique within its split."""


NamedRow = TypeVar("NamedRow", bound=Named)


def unique_ids(rows: Iterable[NamedRow]) -> Iterator[NamedRow]:
    """The rows of a split, unchanged.

    Raises:
        SecateurError: at the first row whose id occurred before.
    """
    seen = set()
    for row in rows:
        if row.id in seen:
            raise SecateurError(f"{row.where}: the id {row.id!r} occurs twice in this split; ids must differ")
        seen.add(row.id)
        yield row


def id_of(given: Any, *, table: Table, number: int) -> str:
    """The row's own id, else FILE:ROW; rows are counted from 1."""
    return f"{table.name}:{number}" if given in (None, "") else str(given)


def title_of(given: Any, *, text: str) -> str:
    """The row's own title, else the beginning of its text: rows with the same text then stay in one split."""
    return text[:_TITLE_LENGTH] if given in (None, "") else str(given)


def required_text(value: Any, name: str, *, where: str) -> str:
    """The value, unchanged; it must be a non-blank text.

    Raises:
        SecateurError: if it is not; the message names it by ``where`` and ``name``.
    """
    if not isinstance(value, str) or not value.strip():
        raise SecateurError(f"{where}: the {name} is {value!r}, but a text is needed; fill it in or remove the row")
    return value


def part_of(name: str) -> str:
    """The part of a name that distinguishes a file or split from its siblings: the last word.

    For example ``matched`` of ``dev_matched.tsv``, and ``high`` of ``dev.high.jsonl``.
    """
    return re.split("[._]", Path(name).stem)[-1]
