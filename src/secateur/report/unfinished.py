"""Runs that are in no table, and why: failed, still running, unreadable, or missing because they left no record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from secateur.report.missing import missing_jobs
from secateur.report.reading import Found


class Unfinished(NamedTuple):
    """A run that is in no table; ``status`` is ``failed``, ``missing``, ``running`` or ``unreadable``."""

    status: str
    name: str
    reason: str = ""


def unfinished(found: Found, folders: Iterable[Path]) -> list[Unfinished]:
    """All unfinished runs, by status and name."""
    listed = [
        Unfinished(record.status, record.name, gist(record.error or ""))
        for record in found.records
        if record.status != "finished"
    ]
    listed += [Unfinished("unreadable", path.parent.name, reason) for path, reason in found.unreadable.items()]
    missing, unknown = missing_jobs(folders, found)
    listed += [Unfinished("unreadable", sweep, reason) for sweep, reason in unknown.items()]
    listed += [Unfinished("missing", job, "no record; repeat the sweep's command to run it") for job in missing]
    return sorted(listed)


def gist(error: str) -> str:
    """The line of an error that says what went wrong: the last of a traceback, the first of any other message."""
    lines = error.strip().splitlines() or [""]
    return lines[-1 if lines[0].startswith("Traceback") else 0]
