"""Cost: a model's size, computation, memory and speed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transformers import PreTrainedModel

from secateur.cost.flops import count_flops
from secateur.cost.kept import cache_difference
from secateur.cost.latency import measure_latency
from secateur.cost.memory import disk_bytes, peak_memory
from secateur.cost.parameters import bitmask_saving, encoder_matrices, parameter_counts, structure_of
from secateur.record import Cost
from secateur.structure.shape import segments_of

__all__ = [
    "bitmask_saving",
    "cache_difference",
    "cost_of",
    "count_flops",
    "disk_bytes",
    "encoder_matrices",
    "measure_latency",
    "parameter_counts",
    "peak_memory",
    "structure_of",
]


def cost_of(model: PreTrainedModel, folder: Path, *, lengths: Iterable[int]) -> Cost:
    """The costs of ``model``, which is saved in ``folder``.

    FLOPs and peak memory are for one sequence of each of the ``lengths``, in tokens.

    Raises:
        SecateurError: if there is no such folder, or a length exceeds the model's positions.
    """
    total, encoder = parameter_counts(model)
    lengths = sorted(set(lengths))
    is_segmented = segments_of(model.config) is not None
    size, saving = disk_bytes(folder), bitmask_saving(model)
    return Cost(
        parameters=total,
        encoder_parameters=encoder,
        flops={length: count_flops(model, length=length) for length in lengths},
        peak_memory_bytes={length: peak_memory(model, length=length) for length in lengths},
        cached_flops={length: count_flops(model, length=length, cached=True) for length in lengths}
        if is_segmented
        else {},
        cache_difference=cache_difference(model, lengths=lengths) if is_segmented else None,
        disk_bytes=size,
        sparse_bytes=size - saving if saving else None,
    )
