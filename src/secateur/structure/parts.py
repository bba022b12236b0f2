"""The parts of a model that a phase may train: its embeddings, its layers, and its head."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from secateur.structure.anatomy import anatomy_of, layers_of


def parts_of(model: PreTrainedModel) -> dict[str, list[nn.Parameter]]:
    """Parameters of the ``embeddings``, the ``layers`` and the ``head`` (with the pooler); each belongs to one part."""
    layers = {id(weight): weight for weight in layers_of(model).parameters()}
    # ELECTRA projects its embeddings to the layers' width in a separate module.
    beneath = (anatomy_of(model.config).embeddings, "embeddings_project")
    modules = dict(model.base_model.named_children())
    embeddings = {id(weight): weight for name in beneath if name in modules for weight in modules[name].parameters()}
    others = [weight for weight in model.parameters() if id(weight) not in {**layers, **embeddings}]
    return {"embeddings": list(embeddings.values()), "layers": list(layers.values()), "head": others}
