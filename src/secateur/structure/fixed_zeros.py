"""Weights that stay zero permanently: which of a model's matrices keep their zeros is declared, never inferred.

Real checkpoints contain zeros by chance, so zeros are fixed only where the model declares it. ``config.fixed_zeros``
lists parameters by name, relative to the base model, with ``*`` for a layer's index: the list stays valid when layers
are removed and renumbered, or heads and units are removed. The zeros of a declared matrix are its mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of

KEY = "fixed_zeros"


@dataclass(frozen=True, kw_only=True)
class FixedZeros:
    """A model's masks, and its weights under their current names: in training, layers may be inside wrappers.

    Attributes:
        masks: the result of :func:`masks_of`.
        weights: all parameters of the base model, by name.
    """

    masks: dict[str, Tensor]
    weights: dict[str, nn.Parameter]

    @classmethod
    def of(cls, model: PreTrainedModel) -> FixedZeros:
        """The masks and weights of ``model`` in its current state."""
        return cls(masks=masks_of(model), weights=dict(model.base_model.named_parameters()))


def masks_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """Where the declared matrices may be non-zero: bool, in the shape of each, by name from the base model.

    Raises:
        SecateurError: if a declared matrix does not exist, or no matrix of a pattern contains a zero.
    """
    masks: dict[str, Tensor] = {}
    for pattern in declared_patterns(model.config):
        found = matching(model, [pattern])
        if not found:
            raise SecateurError(
                f"config.json: {KEY}={pattern}: the model has no such matrix; name matrices of the base model, with * "
                "for a layer's index"
            )
        of_pattern = {name: matrix.detach() != 0 for name, matrix in found.items()}
        if all(bool(mask.all()) for mask in of_pattern.values()):
            raise SecateurError(
                f"config.json: {KEY}={pattern}: contains no zeros; remove it from the list, or restore the weights "
                "that belong to this config.json"
            )
        masks |= of_pattern
    return masks


def declare_fixed_zeros(model: PreTrainedModel, patterns: Iterable[str]) -> None:
    """Declare the zeros of the matrices that ``patterns`` name as fixed, in addition to earlier declarations.

    A pattern is left out if none of its matrices contains a zero.
    """
    _write(model, dict.fromkeys([*declared_patterns(model.config), *patterns]))


def drop_stale_declarations(model: PreTrainedModel) -> None:
    """Drop declarations of patterns that have no zeros left after parts of ``model`` were removed."""
    _write(model, declared_patterns(model.config))


def copy_declarations(body: PreTrainedModel, model: PreTrainedModel) -> None:
    """Copy the declarations of ``body`` to ``model``, which has its weights, for the matrices that exist there.

    Raises:
        SecateurError: if the declarations of ``body`` do not match its own weights.
    """
    masks_of(body)
    _write(model, declared_patterns(body.config))


def declared_patterns(config: PretrainedConfig) -> tuple[str, ...]:
    """The patterns that a model with this configuration declares."""
    return tuple(getattr(config, KEY, None) or ())


def layer_patterns(config: PretrainedConfig) -> list[str]:
    """The six patterns that name the matrices of the encoder's layers."""
    anatomy = anatomy_of(config)
    return [f"{anatomy.layers}.*.{name}" for name in anatomy.matrices.values()]


def matching(model: PreTrainedModel, patterns: Iterable[str]) -> dict[str, nn.Parameter]:
    """The matrices that ``patterns`` name: the model's own parameters, by name relative to the base model.

    They are in the order of the patterns and, within a pattern, in the model's order.
    """
    matrices = {name: weight for name, weight in model.base_model.named_parameters() if weight.ndim > 1}
    found: dict[str, nn.Parameter] = {}
    for pattern in patterns:
        expression = re.compile(re.escape(pattern).replace(r"\*", r"\d+"))
        found |= {name: weight for name, weight in matrices.items() if expression.fullmatch(name)}
    return found


def zero_fraction(matrices: Iterable[Tensor]) -> float:
    """The fraction of zeros over all ``matrices`` together."""
    matrices = list(matrices)
    zeros = sum(matrix.numel() - int(matrix.count_nonzero()) for matrix in matrices)
    return zeros / max(1, sum(matrix.numel() for matrix in matrices))


@torch.no_grad()
def apply_masks(tensors: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    """Multiply ``tensors`` by ``masks`` of 0 and 1, of the same shapes and type, in place, in one fused call."""
    if tensors:
        torch._foreach_mul_(list(tensors), list(masks))


def _write(model: PreTrainedModel, patterns: Iterable[str]) -> None:
    kept = [pattern for pattern in patterns if zero_fraction(matching(model, [pattern]).values()) > 0]
    if kept:
        setattr(model.config, KEY, kept)
    elif hasattr(model.config, KEY):
        delattr(model.config, KEY)
