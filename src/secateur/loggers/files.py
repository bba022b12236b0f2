"""Curves as files in ``<run>/logs``: a folder for each phase, with a new version whenever the phase is resumed."""

from __future__ import annotations

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from secateur.configuration.extras import check_extra
from secateur.loggers.base import RunLog

LOGS = "logs"


class Csv(RunLog):
    """``logs/<phase>/version_<n>/metrics.csv``."""

    def phase(self, name: str) -> Logger:
        """A table that grows as the phase trains."""
        return CSVLogger(self.folder / LOGS, name=name)


class TensorBoard(RunLog):
    """Event files, for ``tensorboard --logdir <run>/logs`` or a sweep's folder."""

    def check(self) -> None:
        """Refuse this logger if its package, an extra, is missing."""
        check_extra("tensorboard", asked="logger=tensorboard")

    def phase(self, name: str) -> Logger:
        """An event file for each process that trained the phase."""
        return TensorBoardLogger(self.folder / LOGS, name=name)
