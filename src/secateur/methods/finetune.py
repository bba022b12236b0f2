"""Fine-tuning: how a predecessor is made, and how what is left of a model recovers."""

from __future__ import annotations

from typing import Any

from secateur.distillation import Distillation, Objective
from secateur.methods.base import Context, Passes, State, Step, fit
from secateur.methods.trained_parts import TrainedParts
from secateur.speed import accelerate_training
from secateur.training import Optimization, TrainingModule


class FineTuning(Step):
    """Train all weights on the task.

    Args:
        epochs: passes over the training split; may be a fraction.
        batch_size: examples (for QA: windows) of one forward pass.
        accumulate_grad_batches: forward passes of one optimizer step.
        learning_rate, weight_decay, warmup_ratio, max_grad_norm: see :class:`secateur.training.Optimization`.
        train_embeddings, train_head, clip: see :class:`secateur.methods.trained_parts.TrainedParts`.
        distillation: imitate the teacher as well; None trains on the task's loss alone.
    """

    def __init__(
        self,
        *,
        epochs: float,
        batch_size: int,
        learning_rate: float,
        accumulate_grad_batches: int,
        weight_decay: float,
        warmup_ratio: float,
        max_grad_norm: float,
        train_embeddings: bool = True,
        train_head: bool = True,
        clip: str = "trained",
        distillation: Distillation | None = None,
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        self.passes = Passes(epochs=epochs, batch_size=batch_size, accumulate_grad_batches=accumulate_grad_batches)
        self.optimization = Optimization(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_ratio=warmup_ratio,
            max_grad_norm=max_grad_norm,
        )
        self.parts = TrainedParts(embeddings=train_embeddings, head=train_head, clip=clip)
        self.distillation = distillation

    def run(self, state: State, context: Context) -> State:
        """Train, and leave the same model with other weights."""
        weights = self.parts.of(state.model)
        module = TrainingModule(
            state.model, context.task, weights=weights, clip=self.parts.clip, **self.training(context)
        )
        with self.parts.without_needless_gradients(state.model, weights):
            return self.trained(module, context)

    def training(self, context: Context) -> dict[str, Any]:
        """What the phase's :class:`secateur.training.TrainingModule` takes beside the model and its task."""
        objective = objective_of(context, self.distillation)
        return {"name": context.name, "objective": objective, "optimization": self.optimization}

    def trained(self, module: TrainingModule, context: Context) -> State:
        """Fit ``module``, and leave its model as other steps expect it."""
        with accelerate_training(module.model):
            fit(module, context, self.passes)
        return State(model=module.model.eval())

    def examples_seen(self, context: Context) -> int:
        """Windows of the training split, once per epoch."""
        return self.passes.examples(context)


def objective_of(context: Context, distillation: Distillation | None) -> Objective:
    """The mean loss of a batch: the task's, or with ``distillation`` the teacher's imitation beside it."""
    if distillation is None:
        return lambda model, batch: context.task.forward(model, batch)["loss"]
    return distillation.objective(context.task, teacher=context.teacher, teacher_outputs=context.teacher_outputs)
