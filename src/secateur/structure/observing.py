"""Observing: reading the outputs of a model's layers while it runs.

This does not use ``output_hidden_states``, which hooks layers by class and would miss a wrapper in a layer's place.

Shapes: B batch, L tokens, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.decomposition import lower_layers_of


@contextmanager
def layer_outputs(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collect, within the context, each layer's output (B, L, D) in the order in which layers run.

    If a layer reads question and document separately, its outputs for both are concatenated.
    """
    outputs_BLD: list[Tensor] = []

    def note(number: int, _module: nn.Module, _inputs: Any, output: Any) -> None:
        states_BLD = output[0] if isinstance(output, tuple) else output
        if length_first:
            states_BLD = states_BLD.transpose(0, 1)
        # All lower layers have run on the question before the first one runs on the document.
        if number < lower_layers and len(outputs_BLD) == lower_layers:
            outputs_BLD[number] = torch.cat([outputs_BLD[number], states_BLD], dim=1)
        else:
            outputs_BLD.append(states_BLD)

    lower_layers, length_first = lower_layers_of(model.config), anatomy_of(model.config).length_first
    with ExitStack() as stack:
        for number, layer in enumerate(layers_of(model)):
            stack.callback(layer.register_forward_hook(partial(note, number)).remove)
        yield outputs_BLD
