"""The contents of a report: the records that were found, as rows, and the runs that are in no table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from secateur.report.reading import Found
from secateur.report.rows import Row, group
from secateur.report.stages import StageRow, stage_rows
from secateur.report.unfinished import Unfinished, unfinished


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that tables, pictures and the page are made of.

    Attributes:
        found: the records that were read.
        rows: finished runs; those that differ only in their seed form one row.
        stages: models that another run compressed and that were then fine-tuned, with tasks side by side in one row.
        unfinished: runs that are in no table, and why.
    """

    found: Found
    rows: list[Row]
    stages: list[StageRow]
    unfinished: list[Unfinished]

    @classmethod
    def of(cls, found: Found, folders: Iterable[Path]) -> Self:
        """The contents of a report on what was found in ``folders``."""
        records = found.records
        return cls(found=found, rows=group(records), stages=stage_rows(records), unfinished=unfinished(found, folders))
