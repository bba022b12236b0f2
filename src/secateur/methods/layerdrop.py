"""LayerDrop: structured dropout of whole layers, so that some may be left out later (Fan et al., arXiv 1909.11556)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from secateur.data.examples import Batch
from secateur.errors import SecateurError
from secateur.methods.base import Context, State
from secateur.methods.phase import Phase
from secateur.methods.remove_layers import check_init, check_unit
from secateur.methods.shared_draws import SharedDraws
from secateur.structure.anatomy import layers_of
from secateur.structure.depth import skippable
from secateur.training.module import TrainingModule

log = logging.getLogger(__name__)


class LayerDrop(Phase):
    """Train all weights on the task while layers drop out at random; nothing is removed yet.

    Args:
        p: probability that a layer drops out of a batch, in [0, 1]; nothing is rescaled for it (section 3.1).
        unit: what drops out of a layer: the ``layer`` itself, its ``attention`` or its ``ffn``.
        init: what is trained: the "predecessor", or the "pretrained" model that it was made of, under a fresh head.
        training: as in :class:`secateur.methods.phase.Phase`.
    """

    skips_layers = True

    def __init__(self, *, p: float, unit: str = "layer", init: str = "predecessor", **training: Any) -> None:
        super().__init__(**training)
        if not 0 <= p <= 1:
            raise SecateurError(f"p={p}: must lie in [0, 1]: it is the probability that a layer drops out")
        check_unit(unit)
        check_init(init)
        if p == 1:
            log.warning("p=1: every layer drops out of every batch, so only the embeddings and the head are trained")
        self.needs_pretrained = init == "pretrained"
        self.takes_decomposed = not self.needs_pretrained  # whose layers read question and document together
        self.p = p
        self.unit = unit

    def run(self, state: State, context: Context) -> State:
        """Train, and leave all layers with other weights."""
        model = self.begins_with(state, context)
        draws = SharedDraws(context.seed)
        module = LayerDropTraining(model, context.task, draws=draws, p=self.p, **self.training(context))
        with skippable(model, module.skips, unit=self.unit):
            return self.trained(module, context)


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
