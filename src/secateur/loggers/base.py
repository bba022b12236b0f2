"""What a run tells a logger, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from secateur.record import Record


class RunLog(ABC):
    """The log of one run, built from settings alone; it is opened once the run's folder is known."""

    def check(self) -> None:  # noqa: B027 - files need nothing
        """Refuse what cannot be logged to, before anything is loaded.

        Raises:
            SecateurError: saying what is missing.
        """

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the run to be logged even if it is finished already."""
        return False

    def open(self, folder: Path, *, config: Mapping[str, Any]) -> None:
        """Begin, or go on where an earlier process of the same run left off.

        Args:
            folder: the run's.
            config: all that was asked for, as plain values.
        """
        self.folder = folder

    @abstractmethod
    def phase(self, name: str) -> Logger:
        """Where the curves of a phase go."""

    def close(self, record: Record) -> None:  # noqa: B027 - files are closed by their phases
        """End: with the record's figures, as a run that failed, or, if the record says running, as one interrupted."""
