"""LayerDrop: structured dropout of entire layers, so that some can be removed later (Fan et al., arXiv 1909.11556)."""

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
    """Train all weights on the task while layers are dropped at random; nothing is removed yet.

    Args:
        p: probability that a layer is dropped for a batch, in [0, 1]; outputs are not rescaled (section 3.1).
        unit: what is dropped: the ``layer`` itself, its ``attention`` or its ``ffn``.
        init: what is trained: the "predecessor", or the "pretrained" model that it was made from, with a newly
            initialised head.
        training: as in :class:`secateur.methods.phase.Phase`.
    """

    skips_layers = True

    def __init__(self, *, p: float, unit: str = "layer", init: str = "predecessor", **training: Any) -> None:
        super().__init__(**training)
        if not 0 <= p <= 1:
            raise SecateurError(f"p={p}: must lie in [0, 1]: it is the probability that a layer is dropped")
        check_unit(unit)
        check_init(init)
        if p == 1:
            log.warning("p=1: every layer is dropped for every batch, so only the embeddings and the head are trained")
        self.needs_pretrained = init == "pretrained"
        self.takes_decomposed = not self.needs_pretrained  # the pretrained model reads question and document jointly
        self.p = p
        self.unit = unit

    def run(self, state: State, context: Context) -> State:
        """Train; all layers are kept."""
        model = self.begins_with(state, context)
        draws = SharedDraws(context.seed)
        module = LayerDropTraining(model, context.task, draws=draws, p=self.p, **self.training(context))
        with skippable(model, module.skips, unit=self.unit):
            return self.trained(module, context)


class LayerDropTraining(TrainingModule):
    """Draws, for each batch, the layers that are dropped for it."""

    def __init__(self, *arguments: Any, draws: SharedDraws, p: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.draws = draws
        self.p = p
        self.dropped: Sequence[bool] = [False] * len(layers_of(self.model))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw the layers that all examples of the batch skip."""
        self.dropped = [number < self.p for number in self.draws.next(len(self.dropped))]

    def skips(self, layer: int) -> bool:
        """Whether a layer is dropped now; never in evaluation."""
        return self.training and self.dropped[layer]
