"""Gating: scaling heads and FFN units without changing the model itself.

The gates are those of McCarley et al. (arXiv 1910.06360v3, section 3.1): one per attention head, as in Michel et al.
(arXiv 1905.10650), and one per FFN activation, after the nonlinearity. A gate multiplies the *input* of an output
projection: under every attention kernel, the contribution of each head or unit is still separate there, so a gate of 0
is equivalent to removal.

Shapes: B batch, L tokens, H heads, U units, D features: H · head_size of them, or U; O features of a projection's
output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.structure.anatomy import anatomy_of, head_size_of, layers_of
from secateur.structure.gates import PerGate
from secateur.structure.surgery import check_fit

_PreHook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]


@contextmanager
def gated(model: PreTrainedModel, gates: PerGate) -> Iterator[None]:
    """Within the context, each head and each FFN unit of ``model`` is multiplied by its gate.

    Works in training and evaluation and under any attention kernel. Gates may require gradients, and may be on another
    device or of another type than the activations. With activation checkpointing, the backward pass runs the layers
    again, so it must also be inside the context.

    Args:
        model: the model, dense or shrunk; forward hooks are added to it, and removed on exit.
        gates: one gate for each head (H,) and unit (U,) of each layer.

    Raises:
        SecateurError: if the gates do not fit the model.
    """
    check_fit(model, gates)
    anatomy, head_size = anatomy_of(model.config), head_size_of(model.config)
    with ExitStack() as stack:
        for layer, gate_H, gate_U in zip(layers_of(model), gates.heads, gates.units, strict=True):
            attention_output = layer.get_submodule(anatomy.attention_output)
            down = layer.get_submodule(anatomy.down)
            for projection, gate, repeats in ((attention_output, gate_H, head_size), (down, gate_U, 1)):
                handle = projection.register_forward_pre_hook(_scaling(gate, repeats))
                stack.enter_context(handle)
        yield


@torch.no_grad()
def fold(model: PreTrainedModel, gates: PerGate) -> None:
    """Scale the output projections, in place, so that ``model`` alone computes what it computes under ``gates``.

    Args:
        model: the model, dense or shrunk.
        gates: one gate for each head (H,) and unit (U,) of each layer.

    Raises:
        SecateurError: if the gates do not fit the model.
    """
    check_fit(model, gates)
    anatomy, head_size = anatomy_of(model.config), head_size_of(model.config)
    for layer, gate_H, gate_U in zip(layers_of(model), gates.heads, gates.units, strict=True):
        for path, gate, repeats in ((anatomy.attention_output, gate_H, head_size), (anatomy.down, gate_U, 1)):
            weight_OD = layer.get_submodule(path).weight
            assert isinstance(weight_OD, Tensor)
            weight_OD *= gate.to(weight_OD).repeat_interleave(repeats)


def _scaling(gate: Tensor, repeats: int) -> _PreHook:
    """A hook that scales a projection's input (B, L, D); each gate applies to ``repeats`` neighbouring features."""

    def scale(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x_BLD, *others = inputs
        # Repeated in each pass, so that each backward pass has its own graph. In the activations' type, because under
        # autocast a float32 factor would turn a bfloat16 input into float32.
        gate_D = gate.to(device=x_BLD.device, dtype=x_BLD.dtype).repeat_interleave(repeats)
        return (x_BLD * gate_D, *others)

    return scale
