"""Training with module replacement, under Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.data.examples import Batch
from secateur.methods.shared_draws import SharedDraws
from secateur.methods.theseus.modules import Replaceable
from secateur.methods.theseus.schedule import Schedule
from secateur.training.module import TrainingModule


class ReplacementTraining(TrainingModule):
    """Draws, for each batch, the modules that are replaced in it: one Bernoulli number each (section 3.1).

    Args:
        arguments, options: as for :class:`secateur.training.module.TrainingModule`.
        modules: the modules in the model.
        schedule: how often they are replaced.
        draws: random numbers, the same in every process.
    """

    def __init__(
        self, *arguments: Any, modules: Sequence[Replaceable], schedule: Schedule, draws: SharedDraws, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.modules_to_replace = modules
        self.schedule = schedule
        self.draws = draws

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw the modules that all examples of the batch use; the rate depends on optimizer steps, not batches."""
        rate = self.schedule.rate(self.trainer.global_step, total=self.trainer.max_steps)
        for module, number in zip(self.modules_to_replace, self.draws.next(len(self.modules_to_replace)), strict=True):
            module.replaced = number < rate
        self.log("train/replacing_rate", rate, prog_bar=True)
