"""Gates: one number for each head and each FFN unit of a model.

McCarley et al. (arXiv 1910.06360v3, section 3.1) place one gate in [0, 1] on every attention head and every FFN
activation; Michel et al. (arXiv 1905.10650) do so for heads.

Shapes: H heads of a layer, U FFN units of a layer; both may differ from layer to layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from secateur.errors import SecateurError


@dataclass(frozen=True, kw_only=True)
class PerGate:
    """One float per gate: importance scores, or the gates themselves (1 keeps, 0 removes).

    Attributes:
        heads: one tensor (H_l,) for each layer l.
        units: one tensor (U_l,) for each layer l.
    """

    heads: tuple[Tensor, ...]
    units: tuple[Tensor, ...]

    def save(self, path: Path) -> None:
        """Write to a safetensors file, as float32."""
        save_file(dict(self._named()), path)

    @classmethod
    def load(cls, path: Path) -> PerGate:
        """Read a file written by :meth:`save`."""
        tensors = load_file(path)
        layers = range(len(tensors) // 2)
        return cls(
            heads=tuple(tensors[f"heads.{layer}"] for layer in layers),
            units=tuple(tensors[f"units.{layer}"] for layer in layers),
        )

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for kind, per_layer in (("heads", self.heads), ("units", self.units)):
            for layer, values in enumerate(per_layer):
                yield f"{kind}.{layer}", values.detach().to(torch.float32).cpu().contiguous()


def check_sizes(gates: PerGate, *, heads: Sequence[int], units: Sequence[int]) -> None:
    """Check that there is exactly one gate for each head and unit.

    Args:
        gates: the gates to check.
        heads: number of heads H_l in each layer.
        units: number of FFN units U_l in each layer.

    Raises:
        SecateurError: if not; the message names the first layer that differs.
    """
    for kind, per_layer, sizes in (("heads", gates.heads, heads), ("units", gates.units, units)):
        if len(per_layer) != len(sizes):
            raise SecateurError(
                f"gates for {kind} of {len(per_layer)} layers do not fit a model of {len(sizes)} layers: "
                "use gates made for this model"
            )
        for layer, (gate, size) in enumerate(zip(per_layer, sizes, strict=True)):
            if gate.shape != (size,):
                raise SecateurError(
                    f"gates for {kind} of layer {layer} have shape {tuple(gate.shape)}, "
                    f"but the layer has {size} {kind}: use gates made for this model"
                )
