"""Where curves and figures are logged in addition to the record, which remains authoritative: files or a dashboard."""

from secateur.loggers.base import RunLog
from secateur.loggers.dashboard import Wandb
from secateur.loggers.files import Csv, TensorBoard

__all__ = ["Csv", "RunLog", "TensorBoard", "Wandb"]
