"""The callback of ``scripts/kill_runs``: it kills its process at a random but reproducible moment."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

MOMENTS = ("before the step", "after the step", "while a checkpoint is written")


class RandomKiller(pl.Callback):
    """Sends SIGKILL to its own process at one of the random moments of a phase.

    All moments of a phase are determined by ``seed`` and ordered by step, so that each is still ahead when the phase
    resumes from the checkpoint before the previous one.

    Args:
        phase: the only phase that is killed.
        number: index of the moment, from 0.
        of: number of moments.
    """

    def __init__(self, *, phase: str, number: int, of: int, seed: int) -> None:
        self.phase, self.number, self.of = phase, number, of
        self.random = random.Random(f"{seed} {phase}")
        self.step = -1
        self.moment = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draw the moments, now that the number of steps is known."""
        if pl_module.name == self.phase:
            steps = sorted(self.random.sample(range(1, trainer.max_steps + 1), self.of))
            moments = self.random.choices(MOMENTS, k=self.of)
            self.step, self.moment = steps[self.number], moments[self.number]

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        self._strike(trainer.global_step + 1 == self.step, "before the step")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._strike(trainer.global_step == self.step, "after the step")

    def on_save_checkpoint(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.step > 0 and trainer.global_step >= self.step:
            # What an interrupted write leaves.
            (Path(trainer.default_root_dir) / "last.partial").write_bytes(b"half of a checkpoint")
            self._strike(True, "while a checkpoint is written")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Kills a phase that saved nothing after its moment."""
        self._strike(pl_module.name == self.phase, self.moment)

    def _strike(self, now: bool, moment: str) -> None:
        if now and moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)
