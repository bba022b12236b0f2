"""The Lightning trainer that every phase and every evaluation uses, built from the config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import ClusterEnvironment
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment

from secateur.configuration.instantiation import build
from secateur.errors import SecateurError
from secateur.loggers import RunLog

_DDP = "ddp_find_unused_parameters_true"

TrainerFactory = Callable[..., pl.Trainer]


def trainer_factory(
    trainer: dict[str, Any], callbacks: dict[str, Any], run_log: RunLog | None = None
) -> TrainerFactory:
    """A function of ``folder``, ``phase``, ``alone`` and Lightning's own options that builds a trainer.

    The curves of a ``phase``, given by name, are written to ``run_log`` if there is one. ``alone=True`` is for what the
    leading process of a distributed job does by itself: it gets one device.
    """
    return partial(_make_trainer, trainer, callbacks, run_log)


def fast_precision(accelerator: str) -> str:
    """``bf16-mixed`` if the device multiplies bfloat16 matrices in hardware, otherwise ``32-true``."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # With AVX-512 alone, bfloat16 is emulated and several times slower than float32.
    in_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if in_hardware else "32-true"


def with_precision(trainer: dict[str, Any]) -> dict[str, Any]:
    """The trainer's settings with ``precision: auto`` resolved."""
    if trainer["precision"] != "auto":
        return trainer
    return {**trainer, "precision": fast_precision(trainer["accelerator"])}


def is_distributed(trainer: dict[str, Any]) -> bool:
    """Whether several processes train together."""
    return str(trainer["strategy"]).startswith("ddp")


def check_strategy(trainer: dict[str, Any], *, processes: int, skipping: bool) -> None:
    """Refuse several processes without a distributed strategy, or with one that does not suit the method.

    Args:
        trainer: the trainer's settings.
        processes: how many processes train together.
        skipping: whether a phase skips layers in some batches, so that their weights get no gradient.

    Raises:
        SecateurError: naming a strategy that works.
    """
    strategy = trainer["strategy"]
    if processes > 1 and not is_distributed(trainer):
        raise SecateurError(
            f"trainer.strategy={strategy}: does not say how trainer.devices={trainer['devices']} train together; set "
            f"trainer.strategy={_DDP}, or trainer.devices=1"
        )
    if is_distributed(trainer) and skipping and "find_unused_parameters_true" not in strategy:
        raise SecateurError(
            f"trainer.strategy={strategy}: this method skips layers in some batches, and this strategy would wait for "
            f"their gradients; set trainer.strategy={_DDP}"
        )


def _environment(trainer: dict[str, Any], *, alone: bool) -> list[ClusterEnvironment]:
    """The cluster environment, given explicitly where Lightning would detect SLURM and act on it."""
    if not SLURMEnvironment.detect():
        return []
    # Lightning's requeue would write a checkpoint of its own; our runs resume from what is in their folder.
    return [LightningEnvironment() if alone and is_distributed(trainer) else SLURMEnvironment(auto_requeue=False)]


def _make_trainer(
    trainer: dict[str, Any],
    callbacks: dict[str, Any],
    run_log: RunLog | None,
    *,
    folder: Path,
    phase: str | None = None,
    alone: bool = False,
    **options: Any,
) -> pl.Trainer:
    if alone and is_distributed(trainer):
        options |= {"devices": 1, "strategy": "auto", "num_nodes": 1}
    options.setdefault("plugins", _environment(trainer, alone=alone))
    built = [build(node, key=f"callbacks.{name}") for name, node in callbacks.items()]
    if not trainer.get("enable_progress_bar", True):  # Lightning refuses this setting together with a progress bar
        built = [callback for callback in built if not isinstance(callback, ProgressBar)]
    return build(
        trainer,
        key="trainer",
        default_root_dir=folder,
        callbacks=built,
        logger=run_log.phase(phase) if run_log is not None and phase is not None else False,
        enable_checkpointing=False,  # Lightning's own; ResumeCheckpoint replaces it
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
