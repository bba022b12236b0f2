"""The interface between a run and any logger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from secateur.record import Record


class RunLog(ABC):
    """The log of one run, built from settings only; it is opened once the run's folder is known."""

    def check(self) -> None:  # noqa: B027 - files need nothing
        """Refuse a logger that cannot be used, before anything is loaded.

        Raises:
            SecateurError: naming what is missing.
        """

    @property
    def is_awaited(self) -> bool:
        """Whether the run must be logged even if it is already finished, because another process waits for it."""
        return False

    def open(self, folder: Path, *, config: Mapping[str, Any]) -> None:
        """Start the log, or resume it where an earlier process of the same run stopped.

        Args:
            folder: the run's folder.
            config: the run's complete config, as plain values.
        """
        self.folder = folder

    @abstractmethod
    def phase(self, name: str) -> Logger:
        """The Lightning logger for the curves of a phase."""

    def close(self, record: Record) -> None:  # noqa: B027 - files are closed by their phases
        """Close the log by the record's status: finished, with its figures; failed; or, if running, interrupted."""
