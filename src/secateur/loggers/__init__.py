"""Where curves and figures go beside the record, which stays the truth: files, or a dashboard."""

from secateur.loggers.base import RunLog
from secateur.loggers.dashboard import Wandb
from secateur.loggers.files import Csv, TensorBoard

__all__ = ["Csv", "RunLog", "TensorBoard", "Wandb"]
