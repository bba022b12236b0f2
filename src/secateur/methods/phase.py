"""A phase: a step that trains, over so many passes of the data, on the task's loss and on what it imitates."""

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
    """A step that trains: how long, on what, and how weights follow. A phase's own settings go before ``**training``.

    Args:
        epochs: passes over the training split; may be a fraction.
        batch_size: examples (for QA: windows) of one forward pass.
        accumulate_grad_batches: forward passes of one optimizer step.
        learning_rate, weight_decay, warmup_ratio, max_grad_norm: see :class:`secateur.training.module.Optimization`.
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
        """What the phase's :class:`secateur.training.module.TrainingModule` takes beside the model and its task."""
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


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How a phase goes over the training split.

    Attributes:
        epochs: how often, above 0; a last part of a pass ends without a validation of its own.
        batch_size: examples (for QA: windows) of one forward pass.
        accumulate_grad_batches: forward passes of one optimizer step.
    """

    epochs: float
    batch_size: int
    accumulate_grad_batches: int

    def __post_init__(self) -> None:
        check_above_zero(epochs=self.epochs)
        check_at_least_one(batch_size=self.batch_size, accumulate_grad_batches=self.accumulate_grad_batches)

    def optimizer_steps(self, batches: int) -> int:
        """Optimizer steps of the whole phase, where one pass has so many batches for each process."""
        return math.ceil(self.epochs * math.ceil(batches / self.accumulate_grad_batches) - 1e-6)

    def examples(self, context: Context) -> int:
        """Examples of the training split that are read, once per epoch."""
        return round(self.epochs * len(context.data.examples["train"]))


def fit(module: TrainingModule, context: Context, passes: Passes) -> None:
    """Train a phase, going on from its checkpoint if an earlier process left one.

    Raises:
        SecateurError: if there is less data than one batch for each process of a distributed fit.
        KeyboardInterrupt: if the training was told to stop; what it had is kept for the next time.
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
    module.train()  # loaded models are in evaluation mode, and Lightning leaves modes as they are
    trainer.fit(
        module,
        loader,
        context.data.eval_loader("val"),
        ckpt_path=usable_checkpoint(context.folder),
        weights_only=True,  # a checkpoint is unpickled: tensors and plain values alone
    )
    if trainer.received_sigterm or trainer.state.status != "finished":
        raise KeyboardInterrupt(f"phase {module.name} was stopped at optimizer step {trainer.global_step}")


def objective_of(context: Context, distillation: Distillation | None) -> Objective:
    """The mean loss of a batch: the task's, or with ``distillation`` the teacher's imitation beside it."""
    if distillation is None:
        return lambda model, batch: context.task.forward(model, batch)["loss"]
    origins = context.origins
    return distillation.objective(context.task, teacher=origins.teacher, teacher_outputs=origins.teacher_outputs)
