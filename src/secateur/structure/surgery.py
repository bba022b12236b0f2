"""Surgery: permanently removing closed heads and FFN units, so that matrices shrink.

Everything here works in place, also on a model that was shrunk before. Parameters are replaced by new ones, so an
optimizer created before surgery no longer refers to the model's weights. Source: McCarley et al.,
arXiv 1910.06360v3, section 3.3.

Shapes: H heads of a layer, U FFN units of a layer; both may differ from layer to layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure.anatomy import check_linear_attention, head_size_of, layers_of
from secateur.structure.fixed_zeros import drop_stale_declarations
from secateur.structure.gates import PerGate, check_sizes
from secateur.structure.modeling_secateur import keep_heads, keep_units
from secateur.structure.shape import describe_structure, modelling_paths, structure_sizes


def shrink(
    model: PreTrainedModel, gates: PerGate, *, round_to: int = 1, importance: PerGate | None = None
) -> PreTrainedModel:
    """Remove, in place, all heads and units whose gate is 0; those that are kept have a gate of 1.

    With ``round_to=1`` the result computes the same as the model under ``gated(model, gates)``.

    Args:
        model: the model to shrink; it must not be gated at the time.
        gates: 0 or 1 for each head (H,) and unit (U,) that each layer has now.
        round_to: FFN widths are rounded up to a multiple of this, see :func:`round_up`.
        importance: decides which closed units are kept when rounding up.

    Returns:
        The same model.

    Raises:
        SecateurError: if a gate is neither 0 nor 1, or the gates do not fit the model.
    """
    check_fit(model, gates)
    _check_binary(gates)
    gates = round_up(gates, round_to=round_to, importance=importance)
    remove_heads(model, [gate.nonzero().flatten() for gate in gates.heads])
    remove_units(model, [gate.nonzero().flatten() for gate in gates.units])
    return model


def remove_heads(model: PreTrainedModel, keep: Sequence[Tensor]) -> None:
    """Keep only the heads ``keep[l]`` (indices) in each layer l, in place, and record the new shape in the config."""
    paths, head_size = modelling_paths(model), head_size_of(model.config)
    for layer, indices in zip(layers_of(model), keep, strict=True):
        keep_heads(layer, indices, paths=paths, head_size=head_size)
    _write_down(model)


def remove_units(model: PreTrainedModel, keep: Sequence[Tensor]) -> None:
    """Keep only the units ``keep[l]`` (indices) in each layer l, in place, and record the new shape in the config."""
    paths = modelling_paths(model)
    for layer, indices in zip(layers_of(model), keep, strict=True):
        keep_units(layer, indices, paths=paths)
    _write_down(model)


def round_up(gates: PerGate, *, round_to: int, importance: PerGate | None = None) -> PerGate:
    """Reopen closed units of each layer until its width is a multiple of ``round_to``, or none is closed.

    The most important closed units are reopened first; ties (or all units, without ``importance``) go by the lowest
    index. A layer whose units are all closed stays that way. Heads are not changed.

    Args:
        gates: 0 or 1 for each head (H,) and unit (U,) of each layer.
        round_to: the width, in units, at least 1.
        importance: scores in the same shapes.

    Returns:
        The new gates.

    Raises:
        SecateurError: if ``round_to`` is below 1, or ``importance`` has other shapes than ``gates``.
    """
    if round_to < 1:
        raise SecateurError(f"round_to={round_to} is not a width: give a whole number of units, 1 for no rounding")
    ranks = gates.units if importance is None else importance.units
    if [len(values) for values in ranks] != [len(values) for values in gates.units]:
        raise SecateurError("importance has different numbers of units from the gates: score this model, not another")
    units = (_round_layer(gate, rank, round_to) for gate, rank in zip(gates.units, ranks, strict=True))
    return PerGate(heads=gates.heads, units=tuple(units))


def check_fit(model: PreTrainedModel, gates: PerGate) -> None:
    """Check that there is exactly one gate for each head and each unit that the model has now.

    Raises:
        SecateurError: if not; the message names the first layer that differs, or the architecture if it cannot be
            gated.
    """
    check_linear_attention(model.config, key="gates")
    heads, units = structure_sizes(model)
    check_sizes(gates, heads=heads, units=units)


def _write_down(model: PreTrainedModel) -> None:
    model.config.secateur = describe_structure(model)
    drop_stale_declarations(model)


def _check_binary(gates: PerGate) -> None:
    for kind, per_layer in (("heads", gates.heads), ("units", gates.units)):
        for layer, gate in enumerate(per_layer):
            soft = gate[(gate != 0) & (gate != 1)]
            if len(soft):
                raise SecateurError(
                    f"gates for {kind} of layer {layer} contain {soft[0].item():g}: "
                    "surgery needs each gate at exactly 0 or 1, so threshold them first"
                )


def _round_layer(gate: Tensor, rank: Tensor, round_to: int) -> Tensor:
    is_open_U = gate.bool()
    missing = -int(is_open_U.sum()) % round_to
    closed = (~is_open_U).nonzero().flatten()
    order = torch.argsort(rank.to(closed.device)[closed], descending=True, stable=True)
    rounded_U = gate.detach().clone()
    rounded_U[closed[order[:missing]]] = 1
    return rounded_U
