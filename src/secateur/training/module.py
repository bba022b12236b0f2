"""What every training phase shares under Lightning: the module, its optimization, and freezing weights."""

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
    """A model and its task: implements evaluation; subclasses add a loss and an optimizer for training."""

    def __init__(self, model: PreTrainedModel, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.evaluator: Evaluator

    def on_validation_epoch_start(self) -> None:
        """Begin a pass over ``val``."""
        self.evaluator = self.task.evaluator(_examples(self.trainer.val_dataloaders))

    def validation_step(self, batch: Batch) -> None:
        """Evaluate one batch of ``val``."""
        self.evaluator.update(self.task.forward(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/<score>``; the progress bar shows the task's own metric."""
        for name, value in self.evaluator.scores().items():
            self.log(f"val/{name}", value, prog_bar=name == self.task.metric)

    def on_test_epoch_start(self) -> None:
        """Begin a pass over ``test``."""
        self.evaluator = self.task.evaluator(_examples(self.trainer.test_dataloaders))

    def test_step(self, batch: Batch) -> None:
        """Evaluate one batch of ``test``."""
        self.evaluator.update(self.task.forward(self.model, batch), batch)


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How weights are trained: AdamW, linear warm-up, then linear decay to zero.

    Attributes:
        learning_rate: the peak, reached at the end of the warm-up; above 0.
        weight_decay: applied to matrices and embeddings, not to biases and LayerNorm; in [0, 1).
        warmup_ratio: the share of the optimizer steps used for the warm-up, in [0, 1).
        max_grad_norm: gradients are clipped to this norm; 0 disables clipping.
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
    """A :class:`TaskModule` that trains, and keeps weights that the model declares fixed at zero.

    Args:
        model: the model to train.
        task: the task it is trained on.
        name: the name of the phase, for messages.
        objective: returns the mean loss of a batch, given the model.
        optimization: how the weights are trained.
        weights: the weights to train; None: all that require a gradient.
        clip: "trained" clips by the gradient norm of the trained weights, "all" by that of all the model's weights.
        fixed: weights whose zeros are kept; None: those that the model declares.
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
        # Determined before training, not from a checkpoint: a weight that merely passes through 0 must not stay there.
        fixed = FixedZeros.of(model) if fixed is None else fixed
        self.masks, self.maskable = fixed.masks, fixed.weights

    def on_train_start(self) -> None:
        """Move the masks to the weights' device and dtype."""
        self.masks = {name: mask.to(self.maskable[name]) for name, mask in self.masks.items()}

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss of one batch; a non-finite loss stops the run.

        Raises:
            SecateurError: if the loss is not finite.
        """
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
        # Not trainer.estimated_stepping_batches: it sets up the loader before the checkpoint's position is read.
        steps = self.trainer.max_steps
        optimizer = AdamW(self.parameter_groups(), lr=self.optimization.learning_rate, fused=True)
        warmup = round(self.optimization.warmup_ratio * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The trained weights, as the optimizer's parameter groups."""
        weights = self.model.parameters() if self.trained_weights is None else self.trained_weights
        return decay_groups(weights, weight_decay=self.optimization.weight_decay)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Clear all gradients, including those of weights that count for clipping but that the optimizer lacks."""
        self.zero_grad()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Zero the gradients of fixed weights before clipping.

        If a gradient is 0 from the first step on, so are Adam's moments; then neither its step nor decay changes a 0.
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
    """The weights that require a gradient, in two groups: matrices decay, biases and LayerNorm (vectors) do not."""
    weights = [weight for weight in weights if weight.requires_grad]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


@contextmanager
def frozen(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Within the context, none of ``weights`` requires a gradient."""
    trainable = [weight for weight in weights if weight.requires_grad]
    for weight in trainable:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trainable:
            weight.requires_grad_(True)


def _examples(loader: Any) -> Examples:
    return cast(Examples, loader.dataset)
