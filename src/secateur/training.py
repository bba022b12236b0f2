"""What every phase shares under Lightning: the module, the trainer, checkpoints to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from secateur.data.batching import ResumableLoader
from secateur.data.examples import Batch, Examples
from secateur.errors import SecateurError, check_above_zero, check_at_least_one
from secateur.structure.fixed_zeros import FixedZeros, apply_masks
from secateur.tasks.base import Evaluator, Task

CHECKPOINT = "last.ckpt"


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


class ResumeCheckpoint(pl.Callback):
    """Keeps one checkpoint, from which a killed fit goes on as if nothing had happened, to the bit on a CPU.

    It holds the generators' states beside what Lightning saves. None is taken on an epoch's last batch, since
    resuming from there would leave out that epoch's validation: the validation's end has one of its own.

    Args:
        every_n_train_steps: optimizer steps between two checkpoints.
    """

    def __init__(self, *, every_n_train_steps: int) -> None:
        check_at_least_one(every_n_train_steps=every_n_train_steps)
        self.every_n_train_steps = every_n_train_steps
        self._saved_step = 0
        self._generators: dict[str, Any] | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the place in the epoch; save on every n-th optimizer step."""
        loader = cast(ResumableLoader, trainer.train_dataloader)
        loader.position = (batch_idx + 1) % len(loader)
        # Inside an accumulation the gradients are not part of a checkpoint: only a fresh step may be saved.
        fresh = trainer.global_step != self._saved_step
        due = trainer.global_step % self.every_n_train_steps == 0
        if fresh and due and not trainer.is_last_batch:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save once the epoch's validation is over. (At the epoch's end Lightning would count the epoch twice.)"""
        self._save(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Add the states of the generators that dropout and sampling draw from, of every process in order of rank."""
        states = [_generator_states()] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(states, states[0])
        checkpoint["generators"] = states

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Any) -> None:
        """Keep the states until training starts: what Lightning does before that draws numbers too."""
        self._generators = checkpoint["generators"][trainer.global_rank]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the generators where they were, or at the start set each process's apart from the others'."""
        if self._generators is not None:
            _set_generator_states(self._generators)
        elif trainer.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)
        self._saved_step = trainer.global_step

    def _save(self, trainer: pl.Trainer) -> None:
        path = Path(trainer.default_root_dir) / CHECKPOINT
        partial = path.with_suffix(".partial")
        try:
            trainer.save_checkpoint(partial)
        except OSError:  # the disk is full: give back what the incomplete file takes
            partial.unlink(missing_ok=True)
            raise
        if trainer.is_global_zero:
            partial.replace(path)
        self._saved_step = trainer.global_step


def _generator_states() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_generator_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if states["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


def _examples(loader: Any) -> Examples:
    return cast(Examples, loader.dataset)
