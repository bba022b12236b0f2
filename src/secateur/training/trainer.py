"""The Lightning trainer that every phase and every evaluation uses, made from the config."""

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
    """A function of ``folder``, ``phase``, ``alone`` and Lightning's own options that makes a trainer.

    The curves of a ``phase``, given by name, go to ``run_log`` where there is one. ``alone=True`` is for what the
    leading process of a distributed job does by itself: it gets one device.
    """
    return partial(_make_trainer, trainer, callbacks, run_log)


def fast_precision(accelerator: str) -> str:
    """``bf16-mixed`` where the device multiplies bfloat16 matrices in hardware, else ``32-true``."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # AVX-512 alone emulates bfloat16 and is several times slower than in float32.
    in_hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if in_hardware else "32-true"


def with_precision(trainer: dict[str, Any]) -> dict[str, Any]:
    """The trainer's settings with ``precision: auto`` made out."""
    if trainer["precision"] != "auto":
        return trainer
    return {**trainer, "precision": fast_precision(trainer["accelerator"])}


def is_distributed(trainer: dict[str, Any]) -> bool:
    """Whether several processes train together."""
    return str(trainer["strategy"]).startswith("ddp")


def check_strategy(trainer: dict[str, Any], *, processes: int, skipping: bool) -> None:
    """Refuse several processes whose strategy does not say so, or does not suit what is trained.

    Args:
        skipping: whether a phase leaves layers out of a batch, whose weights then get no gradient.

    Raises:
        SecateurError: naming the strategy that would do.
    """
    strategy = trainer["strategy"]
    if processes > 1 and not is_distributed(trainer):
        raise SecateurError(
            f"trainer.strategy={strategy}: does not say how trainer.devices={trainer['devices']} train together; give "
            f"trainer.strategy={_DDP}, or trainer.devices=1"
        )
    if is_distributed(trainer) and skipping and "find_unused_parameters_true" not in strategy:
        raise SecateurError(
            f"trainer.strategy={strategy}: this method leaves layers out of a batch, which it waits for in vain; give "
            f"trainer.strategy={_DDP}"
        )


def _environment(trainer: dict[str, Any], *, alone: bool) -> list[ClusterEnvironment]:
    """Who started the processes, where Lightning would find out and draw conclusions of its own."""
    if not SLURMEnvironment.detect():
        return []
    # Its own requeue would begin a checkpoint of its own: a run of ours goes on from what is in its folder.
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
    if not trainer.get("enable_progress_bar", True):  # Lightning refuses the one beside the other
        built = [callback for callback in built if not isinstance(callback, ProgressBar)]
    return build(
        trainer,
        key="trainer",
        default_root_dir=folder,
        callbacks=built,
        logger=run_log.phase(phase) if run_log is not None and phase is not None else False,
        enable_checkpointing=False,  # Lightning's own; ResumeCheckpoint takes its place
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
