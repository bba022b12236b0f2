"""Single training steps that benchmarks compare, and the batches that they run on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from benchmarking import CHECKPOINT, Stopwatch
from transformers import PreTrainedModel

from secateur.speed import accelerate_training
from secateur.training.module import decay_groups

Step = Callable[[dict[str, torch.Tensor]], None]


def fine_tuning(model: PreTrainedModel) -> Step:
    """A step of all weights, as recovery trains them."""
    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), weight_decay=0.01), lr=1e-5, fused=True)

    def step(batch: dict[str, torch.Tensor]) -> None:
        with accelerate_training(model.train()):
            model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def random_batch(arguments: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Random token ids and answers, unpadded."""
    ids = torch.randint(1000, 20_000, (arguments.batch_size, arguments.length))
    answers = torch.randint(1, arguments.length, (arguments.batch_size,))
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "start_positions": answers,
        "end_positions": answers,
    }


def precision(arguments: argparse.Namespace) -> AbstractContextManager[Any]:
    """The context that steps run in: autocast if bfloat16 is requested."""
    return torch.autocast("cpu", torch.bfloat16) if arguments.bfloat16 else nullcontext()


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Processor time of ``work``, in seconds."""
    watch = Stopwatch()
    watch.start()
    work(*arguments)
    watch.stop()
    return watch.processor


def add_step_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every benchmark of steps."""
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="dense model; random weights without it")
    parser.add_argument("--batch-size", type=int, default=16, help="sequences per step")
    parser.add_argument("--length", type=int, default=192, help="tokens of a sequence")
    parser.add_argument("--turns", type=int, default=8, help="steps of each contestant, after one to warm up")
    parser.add_argument("--bfloat16", action="store_true", help="under autocast, as trainer.precision=bf16-mixed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads per operation")
    parser.add_argument("--seed", type=int, default=1, help="seed of batches and all other draws")
