"""Weights that are zero for good: which of a model's matrices keep their zeros is declared, never inferred.

Real checkpoints hold zeros by chance, so a zero is fixed only where the model says so. ``config.fixed_zeros`` lists
parameters by name, from the base model, with ``*`` for a layer's number: layers may be removed and numbered anew, heads
and units taken out, and the list stays true. The zeros of a declared matrix are its mask.
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
    """A model's masks, and its weights by the names that it has now: in training layers may stand in wrappers.

    Attributes:
        masks: as :func:`masks_of` gives them.
        weights: all parameters of the base model, by name.
    """

    masks: dict[str, Tensor]
    weights: dict[str, nn.Parameter]

    @classmethod
    def of(cls, model: PreTrainedModel) -> FixedZeros:
        """Those of ``model`` as it is now."""
        return cls(masks=masks_of(model), weights=dict(model.base_model.named_parameters()))


def masks_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """Where the declared matrices may differ from 0: boolean, in the shape of each, by name from the base model.

    Raises:
        SecateurError: if a declared matrix is not there, or none of a pattern's matrices holds a zero.
    """
    masks: dict[str, Tensor] = {}
    for pattern in declared_patterns(model.config):
        found = matching(model, [pattern])
        if not found:
            raise SecateurError(
                f"config.json: {KEY}={pattern}: the model has no such matrix; name matrices of the base model, with * "
                "for a layer's number"
            )
        of_pattern = {name: matrix.detach() != 0 for name, matrix in found.items()}
        if all(bool(mask.all()) for mask in of_pattern.values()):
            raise SecateurError(
                f"config.json: {KEY}={pattern}: holds no zeros; take it off the list, or keep the weights that belong "
                "to this config.json"
            )
        masks |= of_pattern
    return masks


def declare_fixed_zeros(model: PreTrainedModel, patterns: Iterable[str]) -> None:
    """Declare the zeros of the matrices that ``patterns`` name fixed, beside those that are declared already.

    A pattern none of whose matrices holds a zero is left out: it has nothing to keep.
    """
    _write(model, dict.fromkeys([*declared_patterns(model.config), *patterns]))


def drop_stale_declarations(model: PreTrainedModel) -> None:
    """Declare no more than is left, after parts of ``model`` were taken away: all zeros of a pattern may be gone."""
    _write(model, declared_patterns(model.config))


def copy_declarations(body: PreTrainedModel, model: PreTrainedModel) -> None:
    """Declare in ``model``, which has the weights of ``body``, what ``body`` declares, as far as it has such matrices.

    Raises:
        SecateurError: if ``body`` itself does not hold what it declares.
    """
    masks_of(body)
    _write(model, declared_patterns(body.config))


def declared_patterns(config: PretrainedConfig) -> tuple[str, ...]:
    """The declaration of a model with this configuration."""
    return tuple(getattr(config, KEY, None) or ())


def layer_patterns(config: PretrainedConfig) -> list[str]:
    """What the matrices of the encoder's layers are called, six patterns."""
    anatomy = anatomy_of(config)
    return [f"{anatomy.layers}.*.{name}" for name in anatomy.matrices.values()]


def matching(model: PreTrainedModel, patterns: Iterable[str]) -> dict[str, nn.Parameter]:
    """The matrices that ``patterns`` name, the model's own parameters, by name from the base model.

    Patterns are taken in order, and a pattern's matrices in the model's.
    """
    matrices = {name: weight for name, weight in model.base_model.named_parameters() if weight.ndim > 1}
    found: dict[str, nn.Parameter] = {}
    for pattern in patterns:
        expression = re.compile(re.escape(pattern).replace(r"\*", r"\d+"))
        found |= {name: weight for name, weight in matrices.items() if expression.fullmatch(name)}
    return found


def zero_fraction(matrices: Iterable[Tensor]) -> float:
    """The fraction of zeros in all ``matrices`` together."""
    matrices = list(matrices)
    zeros = sum(matrix.numel() - int(matrix.count_nonzero()) for matrix in matrices)
    return zeros / max(1, sum(matrix.numel() for matrix in matrices))


@torch.no_grad()
def apply_masks(tensors: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    """Multiply ``tensors`` by ``masks`` of 0 and 1, of the same type, in place, all in one call."""
    if tensors:
        torch._foreach_mul_(list(tensors), list(masks))


def _write(model: PreTrainedModel, patterns: Iterable[str]) -> None:
    kept = [pattern for pattern in patterns if zero_fraction(matching(model, [pattern]).values()) > 0]
    if kept:
        setattr(model.config, KEY, kept)
    elif hasattr(model.config, KEY):
        delattr(model.config, KEY)
