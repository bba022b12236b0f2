"""Resuming an interrupted fit, bit for bit on a CPU: its checkpoint and the states of the random generators."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch

from secateur.data.batching import ResumableLoader
from secateur.errors import check_at_least_one

log = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"


def usable_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that an earlier process left in ``folder``; None where there is none, or it cannot be read."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # damaged files raise whatever the unpickler stumbles over
        log.warning("%s: cannot be read (%s: %s); training starts over", path, type(error).__name__, error)
        return None
    return path


class ResumeCheckpoint(pl.Callback):
    """Keeps one checkpoint, from which a killed fit resumes as if it had not been interrupted, bit for bit on a CPU.

    In addition to what Lightning saves, it contains the generators' states. No checkpoint is saved on an epoch's last
    batch, since resuming from there would skip that epoch's validation; one is saved when the validation ends.

    Args:
        every_n_train_steps: optimizer steps between two checkpoints.
    """

    def __init__(self, *, every_n_train_steps: int) -> None:
        check_at_least_one(every_n_train_steps=every_n_train_steps)
        self.every_n_train_steps = every_n_train_steps
        self._saved_step = 0
        self._generators: dict[str, Any] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the position in the epoch; save a checkpoint on every n-th optimizer step."""
        loader = cast(ResumableLoader, trainer.train_dataloader)
        loader.position = (batch_idx + 1) % len(loader)
        # Accumulated gradients are not part of a checkpoint, so it may be saved only right after an optimizer step.
        fresh = trainer.global_step != self._saved_step
        due = trainer.global_step % self.every_n_train_steps == 0
        if fresh and due and not trainer.is_last_batch:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the epoch's validation. (At the end of the epoch, Lightning would count the epoch twice.)"""
        self._save(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Add the states of the generators used by dropout and sampling, for every process in order of rank."""
        states = [_generator_states()] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(states, states[0])
        checkpoint["generators"] = states

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Hold the states until training starts: Lightning draws random numbers before that, too."""
        self._generators = checkpoint["generators"][trainer.global_rank]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the generators' states, or in a new fit give each process a different seed."""
        if self._generators is not None:
            _set_generator_states(self._generators)
        elif trainer.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)
        self._saved_step = trainer.global_step

    def _save(self, trainer: pl.Trainer) -> None:
        path = Path(trainer.default_root_dir) / CHECKPOINT
        partial = path.with_suffix(".partial")
        try:
            trainer.save_checkpoint(partial)
        except OSError:  # the disk is full: free the space that the incomplete file takes
            partial.unlink(missing_ok=True)
            raise
        if trainer.is_global_zero:
            partial.replace(path)
        self._saved_step = trainer.global_step


def _generator_states() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_generator_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if states["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
