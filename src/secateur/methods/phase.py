"""A phase: a step that trains for a number of epochs, on the task's loss and optionally on a distillation loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from typing import Any

import pytorch_lightning as pl

from secateur.distillation import Distillation, Objective
from secateur.errors import SecateurError, check_above_zero, check_at_least_one
from secateur.methods.base import Context, State, Step
from secateur.speed import accelerate_training
from secateur.training.module import Optimization, TrainingModule
from secateur.training.resume import usable_checkpoint


class Phase(Step):
    """A step that trains. Subclasses put their own settings before ``**training``.

    Args:
        epochs: passes over the training split; may be fractional.
        batch_size: examples (for QA: windows) per forward pass.
        accumulate_grad_batches: forward passes per optimizer step.
        learning_rate, weight_decay, warmup_ratio, max_grad_norm: see :class:`secateur.training.module.Optimization`.
        distillation: also imitate the teacher; None trains on the task's loss alone.
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
        """Expand ``**training`` in the signature: a config's keys are compared with it."""
        super().__init_subclass__(**options)
        own = {name: each for name, each in signature(cls.__init__).parameters.items() if name != "self"}
        if any(each.kind is Parameter.VAR_KEYWORD for each in own.values()):
            named = [each for each in own.values() if each.kind is not Parameter.VAR_KEYWORD]
            inherited = [each for name, each in signature(cls.__mro__[1]).parameters.items() if name not in own]
            cls.__signature__ = Signature([*named, *inherited])  # type: ignore[attr-defined]

    def training(self, context: Context) -> dict[str, Any]:
        """Arguments of the phase's :class:`secateur.training.module.TrainingModule` other than model and task."""
        objective = objective_of(context, self.distillation)
        return {"name": context.name, "objective": objective, "optimization": self.optimization}

    def trained(self, module: TrainingModule, context: Context) -> State:
        """Fit ``module``, and return its model in evaluation mode."""
        with accelerate_training(module.model):
            fit(module, context, self.passes)
        return State(model=module.model.eval())

    def examples_seen(self, context: Context) -> int:
        """Number of training examples read, once per epoch."""
        return self.passes.examples(context)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How a phase goes over the training split.

    Attributes:
        epochs: number of passes, above 0; a last partial pass ends without its own validation.
        batch_size: examples (for QA: windows) per forward pass.
        accumulate_grad_batches: forward passes per optimizer step.
    """

    epochs: float
    batch_size: int
    accumulate_grad_batches: int

    def __post_init__(self) -> None:
        check_above_zero(epochs=self.epochs)
        check_at_least_one(batch_size=self.batch_size, accumulate_grad_batches=self.accumulate_grad_batches)

    def optimizer_steps(self, batches: int) -> int:
        """Optimizer steps of the complete phase, if one pass has ``batches`` batches for each process."""
        return math.ceil(self.epochs * math.ceil(batches / self.accumulate_grad_batches) - 1e-6)

    def examples(self, context: Context) -> int:
        """Number of training examples read, once per epoch."""
        return round(self.epochs * len(context.data.examples["train"]))


def fit(module: TrainingModule, context: Context, passes: Passes) -> None:
    """Train a phase, resuming from its checkpoint if an interrupted process left one.

    Raises:
        SecateurError: if the data does not fill one batch for each process of a distributed fit.
        KeyboardInterrupt: if training was asked to stop; its progress is saved for the next time.
    """
    processes = context.make_trainer(folder=context.folder).world_size
    loader = context.data.train_loader(
        batch_size=passes.batch_size, seed=context.data_seed, draws=context.seed, processes=processes
    )
    if len(loader) == 0:
        raise SecateurError(
            f"phase {module.name}: the training data does not fill one batch of {passes.batch_size} for each of "
            f"{processes} processes; lower its batch_size or trainer.devices"
        )
    pl.seed_everything(context.seed, verbose=False)
    trainer = context.make_trainer(
        folder=context.folder,
        phase=module.name,
        max_epochs=math.ceil(passes.epochs),
        max_steps=passes.optimizer_steps(len(loader)),
        accumulate_grad_batches=passes.accumulate_grad_batches,
    )
    module.train()  # loaded models are in evaluation mode, and Lightning does not change modes
    trainer.fit(
        module,
        loader,
        context.data.eval_loader("val"),
        ckpt_path=usable_checkpoint(context.folder),
        weights_only=True,  # a checkpoint is unpickled: allow only tensors and plain values
    )
    if trainer.received_sigterm or trainer.state.status != "finished":
        raise KeyboardInterrupt(f"phase {module.name} was stopped at optimizer step {trainer.global_step}")


def objective_of(context: Context, distillation: Distillation | None) -> Objective:
    """The mean loss of a batch: the task's, with ``distillation`` combined with imitation of the teacher."""
    if distillation is None:
        return lambda model, batch: context.task.forward(model, batch)["loss"]
    origins = context.origins
    return distillation.objective(context.task, teacher=origins.teacher, teacher_outputs=origins.teacher_outputs)
