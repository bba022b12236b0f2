"""ONNX: a model as one file that other runtimes run, with batches, choices and lengths of any size.

Shapes: B examples of a batch, C choices of each (multiple choice alone), L tokens; N sequences, B or B · C.
"""

from __future__ import annotations

import inspect
import logging
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.checks import check_extra
from secateur.cost.inputs import eager_attention, evaluating, is_multiple_choice, random_inputs
from secateur.cost.runtimes import feeds_of, open_session
from secateur.errors import SecateurError
from secateur.structure.anatomy import max_positions_of
from secateur.structure.checkpoint import in_float32, put_in_place, stock_config

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_FILE = "model.onnx"
TOLERANCE = 1e-4
"""The largest difference from PyTorch, of any output, that an exported model may have."""

# Examples × tokens (as far as the model has positions): the one to trace, and those to compare on.
_TRACED = (2, 16)
_COMPARED = ((1, 16), (2, 101), (3, 384))
_CHOICES = 3
# A file of protobuf ends at 2 GiB; what is in it beside the weights is small.
_MOST_INLINE_BYTES = 2**31 - 2**26


def export_onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> float:
    """Write ``model`` in float32 to ``<folder>/model.onnx``, its configuration and ``tokenizer`` beside it.

    The folder is laid out as Hugging Face Optimum expects it, and takes the place of what is there once it is
    whole and agrees with PyTorch. All heads are supported, and layers that have no heads or units. Inputs are
    those of the tokenizer that the model takes. Weights beyond 2 GiB lie in a file of their own beside it.

    Returns:
        The largest difference from PyTorch, as :func:`check_parity` gives it.

    Raises:
        SecateurError: if the packages of the ``onnx`` extra are missing, or outputs differ too much.
    """
    check_extra("onnx", asked=f"{folder}")
    model = in_float32(model)
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    _write_graph(model, input_names(model, tokenizer), partial / MODEL_FILE)
    stock_config(model).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    difference = check_parity(model, partial)
    put_in_place(partial, folder)
    return difference


def check_parity(model: PreTrainedModel, folder: Path) -> float:
    """Compare ``<folder>/model.onnx`` in ONNX Runtime with ``model`` in PyTorch, on several shapes, with padding.

    Returns:
        The largest difference of any output, absolute.

    Raises:
        SecateurError: if it exceeds ``TOLERANCE``, or there is no such file.
    """
    session = open_session(folder / MODEL_FILE)
    names = [node.name for node in session.get_inputs()]
    inputs = (_padded_inputs(model, names, batch_size=batch_size, length=length) for batch_size, length in _COMPARED)
    difference = float(np.max([_difference(model, session, each) for each in inputs]))
    if not difference <= TOLERANCE:  # so that no number at all is refused too
        raise SecateurError(
            f"{folder / MODEL_FILE}: differs from PyTorch by {difference:.1e}, more than {TOLERANCE:g}; do not use it, "
            "and try other versions of torch, onnxscript and onnxruntime"
        )
    return difference


def input_names(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What the tokenizer gives and the model takes: RoBERTa and DistilBERT, say, have no token types."""
    taken = inspect.signature(model.forward).parameters
    return [name for name in tokenizer.model_input_names if name in taken]


def _write_graph(model: PreTrainedModel, names: Iterable[str], file: Path) -> None:
    batch_size, length = _TRACED
    inputs = _padded_inputs(model, names, batch_size=batch_size, length=length)
    axes = ("batch", "choices", "length") if is_multiple_choice(model) else ("batch", "length")
    weights = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    # Eager: a layer without heads comes out of the fused attention as a reshaping that ONNX Runtime refuses.
    with evaluating(model), eager_attention(model), torch.no_grad(), _quiet_exporter():
        torch.onnx.export(
            model,
            (),
            file,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=list(model(**inputs)),
            dynamic_shapes={name: dict(enumerate(axes)) for name in inputs},
            dynamo=True,
            external_data=weights > _MOST_INLINE_BYTES,
            verbose=False,
        )


def _padded_inputs(model: PreTrainedModel, names: Iterable[str], *, batch_size: int, length: int) -> dict[str, Tensor]:
    """Random inputs, (B, L) or (B, C, L); every sequence but the first ends in padding."""
    length = min(length, max_positions_of(model.config))
    shape = (batch_size, _CHOICES, length) if is_multiple_choice(model) else (batch_size, length)
    ids_NL = random_inputs(model, length=length, batch_size=int(np.prod(shape[:-1])))["input_ids"].view(-1, length)
    is_padding_NL = torch.zeros_like(ids_NL, dtype=torch.bool)
    is_padding_NL[1:, length // 2 + 1 :] = True
    # RoBERTa counts positions by which tokens are padding, so the ids have to say so too.
    ids_NL = ids_NL.masked_fill(is_padding_NL, model.config.pad_token_id or 0)
    types_NL = torch.arange(length, device=model.device).expand_as(ids_NL) * _type_count(model) // length
    values = {"input_ids": ids_NL, "attention_mask": (~is_padding_NL).long(), "token_type_ids": types_NL}
    return {name: values[name].reshape(shape) for name in names}


def _type_count(model: PreTrainedModel) -> int:
    return getattr(model.config, "type_vocab_size", 1)


def _difference(model: PreTrainedModel, session: InferenceSession, inputs: Mapping[str, Tensor]) -> float:
    with evaluating(model), torch.no_grad():
        expected = [output.cpu().numpy() for output in model(**inputs).to_tuple()]
    outputs = session.run(None, feeds_of(session, inputs))
    if [output.shape for output in outputs] != [output.shape for output in expected]:
        return float("inf")
    return float(np.max([np.abs(ours - theirs).max() for ours, theirs in zip(outputs, expected, strict=True)]))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what the exporter says about packages that are not needed, and about its own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
