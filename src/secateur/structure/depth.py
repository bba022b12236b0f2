"""Depth: removing, replacing and temporarily skipping layers (LayerDrop: Fan et al., arXiv 1909.11556).

A *unit* is what is removed or skipped: the ``layer`` itself, or its ``attention`` or ``ffn``. A layer without its
attention or FFN still adds that sublayer's output bias and normalises, like a layer that lost all its heads or units.

Shapes: B batch, L tokens, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.fixed_zeros import drop_stale_declarations
from secateur.structure.shape import describe_structure, segments_of, structure_sizes
from secateur.structure.surgery import remove_heads, remove_units

UNITS = ("layer", "attention", "ffn")


def set_layers(model: PreTrainedModel, layers: Sequence[nn.Module]) -> None:
    """Replace the encoder's layers by ``layers``, in place; layer indices and the configuration are updated.

    The layers are not copied; each must have the model's hidden size.
    """
    _install(model, nn.ModuleList(layers))
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.__dict__["layer_idx"] = number
    model.config.num_hidden_layers = len(layers)
    model.config.secateur = describe_structure(model)
    drop_stale_declarations(model)


def keep_layers(model: PreTrainedModel, keep: Sequence[int]) -> None:
    """Keep only the layers ``keep`` (indices from 0, ascending), in place."""
    layers, segments = layers_of(model), segments_of(model.config)
    if segments is not None:  # decomposed layers that stay remain decomposed
        segments["lower_layers"] = sum(number < segments["lower_layers"] for number in keep)
    set_layers(model, [layers[number] for number in keep])


def keep_units(model: PreTrainedModel, keep: Sequence[int], *, unit: str) -> None:
    """Keep the ``unit`` (layer, attention or FFN) of only the layers ``keep`` (indices from 0, ascending), in place."""
    if unit == "layer":
        keep_layers(model, keep)
        return
    heads, units = structure_sizes(model)
    sizes, remove = (heads, remove_heads) if unit == "attention" else (units, remove_units)
    remove(model, [torch.arange(size if layer in keep else 0) for layer, size in enumerate(sizes)])


@contextmanager
def swapped_layers(model: PreTrainedModel, layers: Sequence[nn.Module]) -> Iterator[None]:
    """Within the context, the encoder runs ``layers`` instead of its own; their number may differ."""
    own = layers_of(model)
    _install(model, nn.ModuleList(layers))
    try:
        yield
    finally:
        _install(model, own)


@contextmanager
def skippable(model: PreTrainedModel, skips: Callable[[int], bool], *, unit: str) -> Iterator[None]:
    """Within the context, layer l skips its ``unit`` whenever ``skips(l)`` is true, evaluated in each forward pass.

    As in LayerDrop, nothing is rescaled. The gradient of skipped weights is None, not zero, so that an optimizer leaves
    them alone.

    Args:
        model: the model; it is restored on exit.
        skips: maps a layer's index, from 0, to whether it is skipped now.
        unit: what is skipped, one of ``UNITS``.
    """
    if unit == "layer":
        layers = [_Skippable(layer, skips, number) for number, layer in enumerate(layers_of(model))]
        with swapped_layers(model, layers):
            yield
        return
    anatomy = anatomy_of(model.config)
    output = anatomy.attention_output if unit == "attention" else anatomy.down
    with ExitStack() as stack:
        for number, layer in enumerate(layers_of(model)):
            handle = layer.get_submodule(output).register_forward_hook(_leaving_the_bias(skips, number))
            stack.enter_context(handle)
        yield


class _Skippable(nn.Module):
    """A layer that returns its input (B, L, D) when it is skipped."""

    def __init__(self, layer: nn.Module, skips: Callable[[int], bool], number: int) -> None:
        super().__init__()
        self.layer = layer
        self.skips = skips
        self.number = number

    def forward(self, x_BLD: Tensor, *arguments: Any, **options: Any) -> Any:
        if self.skips(self.number):
            return x_BLD
        return self.layer(x_BLD, *arguments, **options)


def _leaving_the_bias(skips: Callable[[int], bool], number: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A hook that makes a projection return only its bias, without gradients to its weight or input."""

    def leave(projection: nn.Module, _inputs: Any, y_BLD: Tensor) -> Tensor:
        if not skips(number):
            return y_BLD
        bias_D = cast(Tensor | None, projection.bias)
        return torch.zeros_like(y_BLD) if bias_D is None else bias_D.to(y_BLD.dtype).expand_as(y_BLD)

    return leave


def _install(model: PreTrainedModel, layers: nn.ModuleList) -> None:
    model.base_model.set_submodule(anatomy_of(model.config).layers, layers)
