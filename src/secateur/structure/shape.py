"""The shape of a model: heads and FFN units of each layer, according to its modules and its ``config.json``.

``config.secateur`` exists in models that transformers by itself would build with another shape.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from secateur.structure.anatomy import anatomy_of, head_size_of, layers_of

# The fields of an anatomy that the modelling file needs.
_PATHS = (
    *("layers", "attention", "query", "key", "value", "attention_output", "up", "down"),
    *("head_count", "heads_width"),
)


def structure_sizes(model: PreTrainedModel) -> tuple[list[int], list[int]]:
    """Heads and FFN units of each layer, read off the modules themselves."""
    anatomy, head_size = anatomy_of(model.config), head_size_of(model.config)
    heads, units = [], []
    for layer in layers_of(model):
        query, up = (layer.get_parameter(anatomy.matrices[path]) for path in (anatomy.query, anatomy.up))
        heads.append(query.shape[0] // head_size if anatomy.has_linear_attention else query.shape[1])
        units.append(up.shape[0])
    return heads, units


def planned_sizes(config: PretrainedConfig) -> tuple[list[int], list[int]]:
    """Heads and FFN units of each layer of a model with this configuration, before it is loaded."""
    shrunk = getattr(config, "secateur", None)
    if shrunk is not None:
        return list(shrunk["heads"]), list(shrunk["units"])
    names = anatomy_of(config).config_names
    units = getattr(config, names.get("intermediate_size", "intermediate_size"))
    return [config.num_attention_heads] * config.num_hidden_layers, [units] * config.num_hidden_layers


def describe_structure(model: PreTrainedModel) -> dict[str, Any]:
    """The content of ``config.secateur``: all that the modelling file needs to rebuild the model's layers."""
    heads, units = structure_sizes(model)
    segments = segments_of(model.config)
    return {
        "heads": heads,
        "units": units,
        "head_size": head_size_of(model.config),
        "paths": modelling_paths(model),
        **({} if segments is None else {"segments": segments}),
    }


def segments_of(config: PretrainedConfig) -> dict[str, Any] | None:
    """How a model reads question and document separately, from ``config.secateur``; None if it reads them packed."""
    return (getattr(config, "secateur", None) or {}).get("segments")


def modelling_paths(model: PreTrainedModel) -> dict[str, str]:
    """The paths of a model's parts, under the names that the modelling file uses."""
    anatomy = anatomy_of(model.config)
    # For layers that cannot be cut, the modelling file needs only their path.
    names = _PATHS if anatomy.has_linear_attention else ("layers",)
    return {name: getattr(anatomy, name) for name in names}
