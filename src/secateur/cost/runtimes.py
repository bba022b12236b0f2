"""Runtimes: what runs a model's forward pass, PyTorch or ONNX Runtime, and how a pass is made ready for timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from secateur.cost.inputs import random_inputs
from secateur.errors import SecateurError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# One forward pass over inputs that lie ready; the work is done when it returns.
Pass = Callable[[], object]
# Makes the pass over so many sequences of so many tokens: runner(batch_size, length).
Runner = Callable[[int, int], Pass]


def pytorch_runner(model: PreTrainedModel, *, cached: bool = False) -> Runner:
    """Passes of ``model`` in PyTorch, on its device, in the mode it is in; ``cached``: given the documents' states."""

    def prepare(batch_size: int, length: int) -> Pass:
        inputs = random_inputs(model, length=length, batch_size=batch_size, cached=cached)
        _finish_work(model.device)
        return partial(_forward, model, inputs)

    return prepare


def onnx_runner(file: Path, model: PreTrainedModel) -> Runner:
    """Passes of ``file`` in ONNX Runtime, over the inputs that ``model``, which it was exported from, would get.

    Raises:
        SecateurError: if there is no such file.
    """
    session = open_session(file)

    def prepare(batch_size: int, length: int) -> Pass:
        feeds = feeds_of(session, random_inputs(model, length=length, batch_size=batch_size))
        return partial(session.run, None, feeds)

    return prepare


def open_session(file: Path) -> InferenceSession:
    """``file`` in ONNX Runtime on the CPU, with as many threads as PyTorch has now.

    Idle threads do not spin. ONNX Runtime lets them by default, which saves microseconds where one session has
    the processor to itself; where two take turns, or another process computes, they get in each other's way.

    Raises:
        SecateurError: if there is no such file.
    """
    import onnxruntime

    if not file.is_file():
        raise SecateurError(f"{file}: no such file; secateur-export RUN writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def feeds_of(session: InferenceSession, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """``inputs`` as ``session`` takes them; what is missing (token types) is zero, as it is in PyTorch."""
    zeros = torch.zeros_like(inputs["input_ids"])
    return {node.name: inputs.get(node.name, zeros).cpu().numpy() for node in session.get_inputs()}


def _forward(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> None:
    model(**inputs)
    _finish_work(model.device)


def _finish_work(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
