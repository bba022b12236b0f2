"""LayerDrop: structured dropout of whole layers, so that some may be left out later (Fan et al., arXiv 1909.11556)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur.data.examples import Batch
from secateur.distillation import Distillation
from secateur.errors import SecateurError
from secateur.methods.base import Context, Passes, State, Step, fit
from secateur.methods.finetune import objective_of
from secateur.methods.remove_layers import check_unit
from secateur.methods.shared_draws import SharedDraws
from secateur.speed import accelerate_training
from secateur.structure.anatomy import layers_of
from secateur.structure.depth import skippable
from secateur.training import Optimization, TrainingModule


class LayerDrop(Step):
    """Train all weights on the task while layers drop out at random; nothing is removed yet.

    Args:
        p: probability that a layer drops out of a batch, in [0, 1]; nothing is rescaled for it (section 3.1).
        unit: what drops out of a layer: the ``layer`` itself, its ``attention`` or its ``ffn``.
        epochs, batch_size, accumulate_grad_batches: as in :class:`secateur.methods.finetune.FineTuning`, as are the
            settings of the optimizer and ``distillation``.
    """

    def __init__(
        self,
        *,
        p: float,
        epochs: float,
        batch_size: int,
        accumulate_grad_batches: int,
        learning_rate: float,
        weight_decay: float,
        warmup_ratio: float,
        max_grad_norm: float,
        unit: str = "layer",
        distillation: Distillation | None = None,
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        if not 0 <= p <= 1:
            raise SecateurError(f"p={p}: must lie in [0, 1]: it is the probability that a layer drops out")
        check_unit(unit)
        self.p = p
        self.unit = unit
        self.passes = Passes(epochs=epochs, batch_size=batch_size, accumulate_grad_batches=accumulate_grad_batches)
        self.optimization = Optimization(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_ratio=warmup_ratio,
            max_grad_norm=max_grad_norm,
        )
        self.distillation = distillation

    def run(self, state: State, context: Context) -> State:
        """Train, and leave the same model with other weights."""
        module = LayerDropTraining(
            state.model,
            context.task,
            name=context.name,
            objective=objective_of(context, self.distillation),
            optimization=self.optimization,
            draws=SharedDraws(context.seed),
            p=self.p,
        )
        with skippable(state.model, module.skips, unit=self.unit), accelerate_training(state.model):
            fit(module, context, self.passes)
        return State(model=state.model.eval())

    def examples_seen(self, context: Context) -> int:
        """Windows of the training split, once per epoch."""
        return self.passes.examples(context)


class LayerDropTraining(TrainingModule):
    """Draws, for each batch, the layers that drop out of it."""

    def __init__(self, *arguments: Any, draws: SharedDraws, p: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.draws = draws
        self.p = p
        self.dropped: Sequence[bool] = [False] * len(layers_of(self.model))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """All of a batch goes without the same layers."""
        self.dropped = [number < self.p for number in self.draws.next(len(self.dropped))]

    def skips(self, layer: int) -> bool:
        """Whether a layer drops out now; never in evaluation."""
        return self.training and self.dropped[layer]
