"""The records below folders: each run once, and what is wrong with files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur.errors import SecateurError
from secateur.record import Record, find_records, read_record


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found below some folders.

    Attributes:
        runs: the record of each run, by its file, in name order, finished ones first.
        copies: further files of the same runs, each mapped to the one that counts.
        unreadable: what is wrong with each file that is damaged or follows another schema.
    """

    runs: Mapping[Path, Record]
    copies: Mapping[Path, Path] = field(default_factory=dict)
    unreadable: Mapping[Path, str] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """All records, finished or not."""
        return list(self.runs.values())


def read(folders: Iterable[Path], *, warn: Callable[[str], None]) -> Found:
    """Every run at or below ``folders``, once, however often it is found.

    Files that are damaged or follow another schema are left out, and ``warn`` is called with one line about each. A run
    that is found in several places under one name (a sweep and its copy) also counts once, finished before unfinished.

    Raises:
        SecateurError: if a folder is missing, or no record is left.
    """
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise SecateurError(f"{folder}: no such folder; name one that runs were written to, such as outputs/runs")
    records: dict[Path, Record] = {}
    unreadable: dict[Path, str] = {}
    for path in dict.fromkeys(path.resolve() for folder in folders for path in find_records(folder)):
        try:
            records[path] = read_record(path)
        except SecateurError as error:
            unreadable[path] = str(error)
            warn(str(error))
    if not records:
        raise SecateurError(f"{', '.join(map(str, folders))}: no run's record found there; start a run with secateur")
    runs, copies = _once(records)
    for copy, first in list(copies.items())[:1]:
        and_more = f" (and {len(copies) - 1} more such)" if len(copies) > 1 else ""
        warn(f"{copy}: the same run as {first}, counted once{and_more}")
    return Found(runs=runs, copies=copies, unreadable=unreadable)


def value_at(config: Any, key: str) -> Any:
    """The value of a config at ``dotted.key``; None if there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _once(found: Mapping[Path, Record]) -> tuple[dict[Path, Record], dict[Path, Path]]:
    kept: dict[tuple[str, int], Path] = {}
    copies: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: found[path].status != "finished"):
        first = kept.setdefault((found[path].name, found[path].seed), path)
        if first != path:
            copies[path] = first
    return {path: found[path] for path in kept.values()}, copies
