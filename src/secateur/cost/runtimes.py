"""Runtimes: PyTorch and ONNX Runtime, which run a model's forward pass, and how a pass is prepared for timing."""

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
from secateur.structure.shape import segments_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# The files of an export: the first for an ordinary model, the other two for one that encodes documents separately.
MODEL_FILE, ENCODER_FILE, ANSWERING_FILE = "model.onnx", "document_encoder.onnx", "answering_model.onnx"

# One forward pass over prepared inputs; the work is done when it returns.
Pass = Callable[[], object]
# Prepares a pass over batch_size sequences of length tokens: runner(batch_size, length).
Runner = Callable[[int, int], Pass]


def pytorch_runner(model: PreTrainedModel, *, cached: bool = False) -> Runner:
    """Passes of ``model`` in PyTorch, on its device and in its current mode; ``cached``: with the documents' states."""

    def prepare(batch_size: int, length: int) -> Pass:
        inputs = random_inputs(model, length=length, batch_size=batch_size, cached=cached)
        _finish_work(model.device)
        return partial(_forward, model, inputs)

    return prepare


def onnx_file(model: PreTrainedModel) -> str:
    """The file of an export that computes answers."""
    return MODEL_FILE if segments_of(model.config) is None else ANSWERING_FILE


def onnx_runner(file: Path, model: PreTrainedModel, *, cached: bool = False) -> Runner:
    """Passes of ``file`` in ONNX Runtime, over the inputs that ``model``, from which it was exported, would get.

    Args:
        file: the exported file.
        model: the model that it was exported from.
        cached: whether the documents' states are given; otherwise the encoder next to ``file`` computes them in every
            pass.

    Raises:
        SecateurError: if there is no such file.
    """
    session = open_session(file)
    if segments_of(model.config) is not None:
        encoder = None if cached else open_session(file.with_name(ENCODER_FILE))
        return partial(_apart_pass, session, encoder, model)

    def prepare(batch_size: int, length: int) -> Pass:
        feeds = feeds_of(session, random_inputs(model, length=length, batch_size=batch_size))
        return partial(session.run, None, feeds)

    return prepare


def open_session(file: Path) -> InferenceSession:
    """``file`` in ONNX Runtime on the CPU, with as many threads as PyTorch has now.

    Idle threads do not spin. By default they do in ONNX Runtime, which saves microseconds if one session has the
    processor to itself; if two sessions take turns, or another process computes, they interfere with each other.

    Raises:
        SecateurError: if there is no such file, or it is damaged.
    """
    import onnxruntime

    if not file.is_file():
        raise SecateurError(f"{file}: no such file; secateur-export RUN writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors have nothing else in common
        raise SecateurError(
            f"{file}: ONNX Runtime cannot read it ({' '.join(str(error).split())}); delete {file.parent}, and "
            "secateur-export RUN writes it again"
        ) from error


def feeds_of(session: InferenceSession, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """``inputs`` as ``session`` takes them; missing ones (token types) are zero, as in PyTorch."""
    return {
        node.name: (inputs[node.name] if node.name in inputs else torch.zeros_like(inputs["input_ids"])).cpu().numpy()
        for node in session.get_inputs()
    }


def _apart_pass(
    session: InferenceSession, encoder: InferenceSession | None, model: PreTrainedModel, batch_size: int, length: int
) -> Pass:
    """A pass of the pair: encodes the documents, unless ``encoder`` is None, and answers the questions."""
    inputs = random_inputs(model, length=length, batch_size=batch_size, cached=True)
    feeds = feeds_of(session, {**inputs, "question_ids": inputs["input_ids"]})
    if encoder is None:
        return partial(session.run, None, feeds)
    ids = random_inputs(model, length=length, batch_size=batch_size)["input_ids"]
    ids = ids[..., feeds["question_ids"].shape[-1] :].flatten(0, -2)
    documents = {"document_ids": ids.cpu().numpy(), "attention_mask": np.ones(ids.shape, dtype=np.int64)}

    def run() -> object:
        (states,) = encoder.run(None, documents)
        return session.run(None, {**feeds, "document_states": states})

    return run


def _forward(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> None:
    model(**inputs)
    _finish_work(model.device)


def _finish_work(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
