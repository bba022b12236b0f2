"""ONNX: a model as a file that other runtimes can run, with batches, choices and lengths of any size.

A model that reads question and document separately becomes two: one that encodes documents, one that answers.

Shapes: B examples of a batch, C choices of each (only multiple choice), L tokens; N sequences, B or B · C.
"""

from __future__ import annotations

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

from secateur.configuration.extras import check_extra
from secateur.cost.runtimes import feeds_of, open_session
from secateur.errors import SecateurError
from secateur.export.graphs import Graph, graphs_of
from secateur.structure.checkpoint import in_float32, put_in_place, stock_config
from secateur.structure.modes import eager_attention, evaluating

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE = 1e-4
"""The largest difference from PyTorch, in any output, that an exported model may have."""

# Examples × tokens (as far as the model has positions): the shape to trace, and the shapes to compare.
_TRACED = (2, 16)
_COMPARED = ((1, 16), (2, 101), (3, 384))
# A protobuf file is limited to 2 GiB; apart from the weights, its content is small.
_MOST_INLINE_BYTES = 2**31 - 2**26


def export_onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> float:
    """Write ``model`` in float32 to ``<folder>/model.onnx``, with its configuration and ``tokenizer``.

    A model that reads question and document separately is written to ``document_encoder.onnx`` and
    ``answering_model.onnx``.

    The folder has the layout that Hugging Face Optimum expects, and replaces an existing one once it is complete and
    agrees with PyTorch. All heads are supported, and so are layers without heads or units. Inputs are those of the
    tokenizer's outputs that the model takes. Weights beyond 2 GiB are stored in a separate file next to the graph.

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
    for graph in graphs_of(model):
        _write_graph(model, graph, input_names(graph, tokenizer), partial / graph.file)
    stock_config(model).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    difference = check_parity(model, partial)
    put_in_place(partial, folder)
    return difference


def check_parity(model: PreTrainedModel, folder: Path) -> float:
    """Compare the files in ``folder`` in ONNX Runtime with ``model`` in PyTorch, on several shapes, with padding.

    Returns:
        The largest absolute difference in any output.

    Raises:
        SecateurError: if it exceeds ``TOLERANCE``, or a file is missing.
    """
    return float(np.max([_check_graph(model, graph, folder / graph.file) for graph in graphs_of(model)]))


def input_names(graph: Graph, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The graph's inputs; for an ordinary model only those that the tokenizer returns: RoBERTa's has no token types."""
    names = tokenizer.model_input_names if graph.from_tokenizer else graph.axes
    return [name for name in names if name in graph.axes]


def _check_graph(model: PreTrainedModel, graph: Graph, file: Path) -> float:
    session = open_session(file)
    names = [node.name for node in session.get_inputs()]
    inputs = (_chosen(graph, names, *shape) for shape in _COMPARED)
    difference = float(np.max([_difference(model, graph, session, each) for each in inputs]))
    if not difference <= TOLERANCE:  # written this way so that NaN is refused, too
        raise SecateurError(
            f"{file}: differs from PyTorch by {difference:.1e}, more than {TOLERANCE:g}; do not use it, and try other "
            "versions of torch, onnxscript and onnxruntime"
        )
    return difference


def _write_graph(model: PreTrainedModel, graph: Graph, names: Iterable[str], file: Path) -> None:
    inputs = _chosen(graph, names, *_TRACED)
    weights = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    # Eager: with fused attention, a layer without heads becomes a reshape that ONNX Runtime refuses.
    with evaluating(model), eager_attention(model), torch.no_grad(), _quiet_exporter():
        torch.onnx.export(
            graph.module,
            (),
            file,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=list(graph.module(**inputs)),
            dynamic_shapes={name: dict(enumerate(graph.axes[name])) for name in inputs},
            dynamo=True,
            external_data=weights > _MOST_INLINE_BYTES,
            verbose=False,
        )


def _chosen(graph: Graph, names: Iterable[str], batch_size: int, length: int) -> dict[str, Tensor]:
    inputs = graph.inputs(batch_size, length)
    return {name: inputs[name] for name in names}


def _difference(model: PreTrainedModel, graph: Graph, session: InferenceSession, inputs: Mapping[str, Tensor]) -> float:
    with evaluating(model), torch.no_grad():
        expected = [output.cpu().numpy() for output in graph.module(**inputs).values()]
    outputs = session.run(None, feeds_of(session, inputs))
    if [output.shape for output in outputs] != [output.shape for output in expected]:
        return float("inf")
    return float(np.max([np.abs(ours - theirs).max() for ours, theirs in zip(outputs, expected, strict=True)]))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's messages about packages that are not needed and about its own internals."""
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
