"""What every phase shares under Lightning: the module, how weights follow the loss, what is frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from secateur.data.examples import Batch, Examples
from secateur.errors import SecateurError, check_above_zero
from secateur.structure.fixed_zeros import FixedZeros, apply_masks
from secateur.tasks.base import Evaluator, Task


class TaskModule(pl.LightningModule):
    """A model and its task: evaluation for everyone, training for those who add a loss and an optimizer."""

    def __init__(self, model: PreTrainedModel, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.evaluator: Evaluator

    def on_validation_epoch_start(self) -> None:
        """Begin a pass over ``val``."""
        self.evaluator = self.task.evaluator(_examples(self.trainer.val_dataloaders))

    def validation_step(self, batch: Batch) -> None:
        """Take one batch of ``val``."""
        self.evaluator.update(self.task.forward(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/<score>``; the task's own metric is shown beside the progress bar."""
        for name, value in self.evaluator.scores().items():
            self.log(f"val/{name}", value, prog_bar=name == self.task.metric)

    def on_test_epoch_start(self) -> None:
        """Begin a pass over ``test``."""
        self.evaluator = self.task.evaluator(_examples(self.trainer.test_dataloaders))

    def test_step(self, batch: Batch) -> None:
        """Take one batch of ``test``."""
        self.evaluator.update(self.task.forward(self.model, batch), batch)


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How weights are trained: AdamW, linear warm-up, then linear decay to zero.

    Attributes:
        learning_rate: the highest, reached after the warm-up; above 0.
        weight_decay: on matrices and embeddings, none on biases and LayerNorm; in [0, 1).
        warmup_ratio: share of the optimizer steps that the warm-up takes, in [0, 1).
        max_grad_norm: gradients are clipped to this norm; 0 leaves them alone.
    """

    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    max_grad_norm: float

    def __post_init__(self) -> None:
        check_above_zero(learning_rate=self.learning_rate)
        for name in ("weight_decay", "warmup_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise SecateurError(f"{name}={getattr(self, name)}: must lie in [0, 1)")
        if self.max_grad_norm < 0:
            raise SecateurError(f"max_grad_norm={self.max_grad_norm}: must be 0 (no clipping) or more")


class TrainingModule(TaskModule):
    """A :class:`TaskModule` that trains, and leaves weights that the model declares fixed at zero as they are.

    Args:
        name: of the phase, for messages.
        objective: the mean loss of a batch, given the model.
        optimization: how the weights follow it.
        weights: those that are trained; None: all that take a gradient.
        clip: "trained" clips by the gradients of what is trained, "all" by those of all of the model's weights.
        fixed: weights whose zeros stay; None: those that the model declares.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        task: Task,
        *,
        name: str,
        objective: Callable[[PreTrainedModel, Batch], Tensor],
        optimization: Optimization,
        weights: Sequence[nn.Parameter] | None = None,
        clip: str = "trained",
        fixed: FixedZeros | None = None,
    ) -> None:
        super().__init__(model, task)
        self.name = name
        self.objective = objective
        self.optimization = optimization
        self.trained_weights = weights
        self.clip = clip
        # Taken before training, not from a checkpoint: a weight that only passes through 0 is not to stay there.
        fixed = FixedZeros.of(model) if fixed is None else fixed
        self.masks, self.maskable = fixed.masks, fixed.weights

    def on_train_start(self) -> None:
        """Bring the masks where the weights are, in their type."""
        self.masks = {name: mask.to(self.maskable[name]) for name, mask in self.masks.items()}

    def training_step(self, batch: Batch) -> Tensor:
        """One forward pass; a loss that is no number ends the run."""
        loss = self.objective(self.model, batch)
        if not torch.isfinite(loss):
            raise SecateurError(
                f"phase {self.name}: the loss is {loss.item()} at optimizer step {self.trainer.global_step}; lower "
                f"its learning rate (now {self.trainer.optimizers[0].defaults['lr']}) or set trainer.precision=32-true"
            )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW with a linear schedule over all optimizer steps of the fit."""
        # Not trainer.estimated_stepping_batches: that sets the loader up before a checkpoint's place in it is read.
        steps = self.trainer.max_steps
        optimizer = AdamW(self.parameter_groups(), lr=self.optimization.learning_rate, fused=True)
        warmup = round(self.optimization.warmup_ratio * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained, as the optimizer takes it."""
        weights = self.model.parameters() if self.trained_weights is None else self.trained_weights
        return decay_groups(weights, weight_decay=self.optimization.weight_decay)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Forget all gradients, also of weights that the clip counts and the optimizer does not have."""
        self.zero_grad()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Zero the gradients of fixed weights, before they are clipped.

        Where a gradient is 0 from the first step on, so are Adam's moments; then neither its step nor decay moves a 0.
        """
        pairs = [(self.maskable[name].grad, mask) for name, mask in self.masks.items()]
        fixed = [(gradient, mask) for gradient, mask in pairs if gradient is not None]
        apply_masks([gradient for gradient, _ in fixed], [mask for _, mask in fixed])

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clip here, not in the trainer: Lightning refuses its own clipping with a fused optimizer."""
        if self.optimization.max_grad_norm > 0:
            trained = [weight for group in optimizer.param_groups for weight in group["params"]]
            weights = trained if self.clip == "trained" else self.model.parameters()
            nn.utils.clip_grad_norm_(weights, self.optimization.max_grad_norm)


def decay_groups(weights: Iterable[nn.Parameter], *, weight_decay: float) -> list[dict[str, Any]]:
    """Weights that take a gradient in two groups: matrices decay, biases and LayerNorm (all vectors) do not."""
    weights = [weight for weight in weights if weight.requires_grad]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Within the context, no weight of ``model`` takes a gradient."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trainable:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trainable:
            weight.requires_grad_(True)


def _examples(loader: Any) -> Examples:
    return cast(Examples, loader.dataset)
