"""Observing: what a model's layers compute, read while it runs.

Not ``output_hidden_states``, which hooks classes of layers: a wrapper in a layer's place would be passed over.

Shapes: B batch, L tokens, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.structure.anatomy import layers_of


@contextmanager
def layer_outputs(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Gathers, within the context, each layer's output (B, L, D) in the order in which layers run."""
    outputs_BLD: list[Tensor] = []

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs_BLD.append(output[0] if isinstance(output, tuple) else output)

    with ExitStack() as stack:
        for layer in layers_of(model):
            stack.callback(layer.register_forward_hook(note).remove)
        yield outputs_BLD
