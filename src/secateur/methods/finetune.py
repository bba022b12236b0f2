"""Fine-tuning: how a predecessor is made, and how what is left of a model recovers."""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import Any

from secateur.distillation import Distillation, Objective
from secateur.methods.base import Context, Passes, State, Step, fit
from secateur.methods.trained_parts import TrainedParts
from secateur.speed import accelerate_training
from secateur.training import Optimization, TrainingModule


class Phase(Step):
    """A step that trains: how long, on what, and how weights follow. A phase's own settings go before ``**training``.

    Args:
        epochs: passes over the training split; may be a fraction.
        batch_size: examples (for QA: windows) of one forward pass.
        accumulate_grad_batches: forward passes of one optimizer step.
        learning_rate, weight_decay, warmup_ratio, max_grad_norm: see :class:`secateur.training.Optimization`.
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
        self.distillation = distillation

    def __init_subclass__(cls, **options: Any) -> None:
        """Spell ``**training`` out in the signature: a config's keys are compared with it."""
        super().__init_subclass__(**options)
        own = {name: each for name, each in signature(cls.__init__).parameters.items() if name != "self"}
        if any(each.kind is Parameter.VAR_KEYWORD for each in own.values()):
            named = [each for each in own.values() if each.kind is not Parameter.VAR_KEYWORD]
            inherited = [each for name, each in signature(cls.__mro__[1]).parameters.items() if name not in own]
            cls.__signature__ = Signature([*named, *inherited])  # type: ignore[attr-defined]

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


class FineTuning(Phase):
    """Train all weights on the task, or those of some parts.

    Args:
        train_embeddings, train_head, clip: see :class:`secateur.methods.trained_parts.TrainedParts`.
        training: as in :class:`Phase`.
    """

    any_architecture = True

    def __init__(
        self, *, train_embeddings: bool = True, train_head: bool = True, clip: str = "trained", **training: Any
    ) -> None:
        super().__init__(**training)
        self.parts = TrainedParts(embeddings=train_embeddings, head=train_head, clip=clip)

    def run(self, state: State, context: Context) -> State:
        """Train, and leave the same model with other weights."""
        weights = self.parts.of(state.model)
        module = TrainingModule(
            state.model, context.task, weights=weights, clip=self.parts.clip, **self.training(context)
        )
        with self.parts.without_needless_gradients(state.model, weights):
            return self.trained(module, context)


def objective_of(context: Context, distillation: Distillation | None) -> Objective:
    """The mean loss of a batch: the task's, or with ``distillation`` the teacher's imitation beside it."""
    if distillation is None:
        return lambda model, batch: context.task.forward(model, batch)["loss"]
    return distillation.objective(context.task, teacher=context.teacher, teacher_outputs=context.teacher_outputs)
