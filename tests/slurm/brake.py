"""A callback that makes a small training run last long enough to be interrupted, without changing its result."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class Brake(pl.Callback):
    """Sleeps after each batch.

    Args:
        seconds: for so long.
    """

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *_: Any) -> None:
        time.sleep(self.seconds)
