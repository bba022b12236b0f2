"""Parameters of a model, and what its encoder lost compared with its reference."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.record import Structure
from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.decomposition import lower_layers_of
from secateur.structure.shape import structure_sizes


def parameter_counts(model: PreTrainedModel) -> tuple[int, int]:
    """The number of parameters (total, in the encoder's layers); a tied parameter counts once."""
    return _count(model), _count(layers_of(model))


def encoder_matrices(model: PreTrainedModel) -> dict[str, Tensor]:
    """Weights of the six projections of every layer, by ``<layer>.<path in the layer>``; linear ones are (out, in).

    They are the model's own parameters, not copies; a projection that was removed entirely has no elements.
    """
    names = anatomy_of(model.config).matrices
    return {
        f"{index}.{path}": layer.get_parameter(name)
        for index, layer in enumerate(layers_of(model))
        for path, name in names.items()
    }


def structure_of(model: PreTrainedModel, *, reference: PreTrainedModel) -> Structure:
    """What ``model`` lost of ``reference``'s encoder, and what is left in each of its layers.

    All fractions are relative to the reference's count, so ``removed + zeroed`` is the total saving.
    """
    matrices = encoder_matrices(model).values()
    base = sum(matrix.numel() for matrix in encoder_matrices(reference).values())
    present = sum(matrix.numel() for matrix in matrices)
    nonzero = sum(int(matrix.count_nonzero()) for matrix in matrices)
    heads, units = structure_sizes(model)
    reference_heads, reference_units = structure_sizes(reference)
    return Structure(
        removed=1 - present / base,
        zeroed=(present - nonzero) / base,
        zeroed_total=sum(map(_zeros, model.parameters())) / _count(reference),
        heads_removed=1 - sum(heads) / sum(reference_heads),
        units_removed=1 - sum(units) / sum(reference_units),
        layers_removed=1 - len(heads) / len(reference_heads),
        layers_decomposed=lower_layers_of(model.config) / len(heads),
        heads=heads,
        units=units,
    )


def bitmask_saving(model: PreTrainedModel) -> int:
    """Bytes saved by storing a bit for each weight and float32 for nonzero weights, instead of float32 for all.

    Each parameter is stored in whichever way is smaller; below 3.1 % zeros, that is the ordinary one.
    """
    return sum(max(0, 4 * _zeros(weight) - (weight.numel() + 7) // 8) for weight in model.parameters())


def _zeros(weight: Tensor) -> int:
    return weight.numel() - int(weight.count_nonzero())


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
