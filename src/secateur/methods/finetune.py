"""Fine-tuning: trains predecessors, and recovers models after compression."""

from __future__ import annotations

from typing import Any

from secateur.methods.base import Context, State
from secateur.methods.phase import Phase
from secateur.methods.trained_parts import TrainedParts
from secateur.training.module import TrainingModule


class FineTuning(Phase):
    """Train all weights on the task, or only those of some parts.

    Args:
        train_embeddings, train_head, clip: see :class:`secateur.methods.trained_parts.TrainedParts`.
        training: as in :class:`secateur.methods.phase.Phase`.
    """

    any_architecture = True

    def __init__(
        self, *, train_embeddings: bool = True, train_head: bool = True, clip: str = "trained", **training: Any
    ) -> None:
        super().__init__(**training)
        self.parts = TrainedParts(embeddings=train_embeddings, head=train_head, clip=clip)

    def run(self, state: State, context: Context) -> State:
        """Train; the model keeps its shape."""
        weights = self.parts.of(state.model)
        module = TrainingModule(
            state.model, context.task, weights=weights, clip=self.parts.clip, **self.training(context)
        )
        with self.parts.without_needless_gradients(state.model, weights):
            return self.trained(module, context)
