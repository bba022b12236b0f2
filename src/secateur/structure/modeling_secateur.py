"""Transformers whose layers differ in width: any architecture, any of its tasks, shaped by ``config.json``.

This file is copied as it is into exported folders, so it imports torch and transformers alone. A class such
as ``SecateurBertForQuestionAnswering`` is made when its name is first asked for. ``config.secateur`` holds

* ``heads``, ``units``: heads and FFN units of each layer, first to last;
* ``head_size``: width of one head;
* ``paths``: where the architecture keeps its layers (from the base model), its attention and projections (from
  one layer), and the names under which its attention keeps ``head_count`` and ``heads_width``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto

PREFIX = "Secateur"

# Auto class -> the class it stands for, by model_type.
AUTO_CLASSES: dict[str, Mapping[str, Any]] = {
    "AutoModel": modeling_auto.MODEL_MAPPING_NAMES,
    "AutoModelForQuestionAnswering": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    "AutoModelForSequenceClassification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "AutoModelForMultipleChoice": modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES,
    "AutoModelForMaskedLM": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    # After masked LM: for most architectures it stands for that class too.
    "AutoModelForPreTraining": modeling_auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
}


class SecateurMixin:
    """Builds the dense model, then cuts each layer down to the sizes that ``config.secateur`` gives."""

    base_model: nn.Module

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]  # the architecture's own constructor
        shape = config.secateur
        layers: Any = self.base_model.get_submodule(shape["paths"]["layers"])
        for layer, heads, units in zip(layers, shape["heads"], shape["units"], strict=True):
            keep_heads(layer, torch.arange(heads), paths=shape["paths"], head_size=shape["head_size"])
            keep_units(layer, torch.arange(units), paths=shape["paths"])


def keep_heads(layer: nn.Module, keep: Tensor, *, paths: Mapping[str, str], head_size: int) -> None:
    """Leave only the heads ``keep`` (indices) in ``layer``, in place; the output bias stays.

    Without any head the output projection has no inputs, and what it computes is its bias.
    """
    columns = (keep.unsqueeze(1) * head_size + torch.arange(head_size, device=keep.device)).flatten()
    for name in ("query", "key", "value"):
        _keep_outputs(layer.get_submodule(paths[name]), columns)
    _keep_inputs(layer.get_submodule(paths["attention_output"]), columns)
    attention: Any = layer.get_submodule(paths["attention"])
    setattr(attention, paths["head_count"], len(keep))
    setattr(attention, paths["heads_width"], len(columns))


def keep_units(layer: nn.Module, keep: Tensor, *, paths: Mapping[str, str]) -> None:
    """Leave only the FFN units ``keep`` (indices) in ``layer``, in place; the output bias stays."""
    _keep_outputs(layer.get_submodule(paths["up"]), keep)
    _keep_inputs(layer.get_submodule(paths["down"]), keep)


def auto_class_of(class_name: str) -> str | None:
    """The Auto class that stands for a class of transformers, or None where there is none."""
    return next((auto for auto, names in AUTO_CLASSES.items() if class_name in names.values()), None)


def __getattr__(name: str) -> type[PreTrainedModel]:
    """Make ``Secateur<class>`` for a model class of transformers."""
    base = getattr(transformers, name.removeprefix(PREFIX), None) if name.startswith(PREFIX) else None
    if not (isinstance(base, type) and issubclass(base, PreTrainedModel)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # With _auto_class set, save_pretrained puts this file and auto_map into the folder it writes.
    members = {"__module__": __name__, "_auto_class": auto_class_of(base.__name__)}
    made = type(name, (SecateurMixin, base), members)
    globals()[name] = made
    return made


def _keep_outputs(linear: nn.Module, rows: Tensor) -> None:
    assert isinstance(linear, nn.Linear)
    linear.weight = _selected(linear.weight, 0, rows)
    if linear.bias is not None:
        linear.bias = _selected(linear.bias, 0, rows)
    linear.out_features = len(rows)


def _keep_inputs(linear: nn.Module, columns: Tensor) -> None:
    assert isinstance(linear, nn.Linear)
    linear.weight = _selected(linear.weight, 1, columns)
    linear.in_features = len(columns)


def _selected(parameter: Tensor, dim: int, keep: Tensor) -> nn.Parameter:
    kept = parameter.detach().index_select(dim, keep.to(parameter.device))
    return nn.Parameter(kept, requires_grad=parameter.requires_grad)
