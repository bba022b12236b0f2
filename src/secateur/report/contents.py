"""What a report is of: the records that were found, as rows, and what is in no table."""

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
        rows: of finished runs, those that differ in their seed alone in one.
        stages: of models that another run compressed and that were fine-tuned, tasks side by side in one row.
        unfinished: runs in no table, and why.
    """

    found: Found
    rows: list[Row]
    stages: list[StageRow]
    unfinished: list[Unfinished]

    @classmethod
    def of(cls, found: Found, folders: Iterable[Path]) -> Self:
        """What was found in ``folders``."""
        records = found.records
        return cls(found=found, rows=group(records), stages=stage_rows(records), unfinished=unfinished(found, folders))
