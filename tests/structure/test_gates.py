"""Gates and scores are read back from their file unchanged."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from secateur.structure.gates import PerGate


def test_round_trip_keeps_layers_apart_and_in_order(tmp_path):
    """More than ten layers, each of a size of its own, some of them empty."""
    gates = PerGate(
        heads=tuple(torch.rand(layer) for layer in range(12)),
        units=tuple(torch.rand(30 - layer) for layer in range(12)),
    )
    gates.save(tmp_path / "gates.safetensors")
    again = PerGate.load(tmp_path / "gates.safetensors")
    for kind in ("heads", "units"):
        for one, other in zip(getattr(gates, kind), getattr(again, kind), strict=True):
            assert one.equal(other)


def test_the_file_holds_plain_float32_under_readable_names(tmp_path):
    """Whatever type and strides the tensors have, and whether or not they are being trained."""
    gates = PerGate(
        heads=(torch.ones(2, dtype=torch.float64, requires_grad=True),),
        units=(torch.arange(6, dtype=torch.bfloat16)[::2],),
    )
    gates.save(tmp_path / "gates.safetensors")
    tensors = load_file(tmp_path / "gates.safetensors")
    assert {name: values.tolist() for name, values in tensors.items()} == {"heads.0": [1, 1], "units.0": [0, 2, 4]}
    assert {values.dtype for values in tensors.values()} == {torch.float32}


def test_slices_of_one_ranking_can_be_saved(tmp_path):
    """They lie in one block of memory, empty ones between them."""
    ranking = torch.tensor([1.0, 0, 1, 1]).split([1, 0, 2, 1])
    PerGate(heads=ranking[:2], units=ranking[2:]).save(tmp_path / "gates.safetensors")
    again = PerGate.load(tmp_path / "gates.safetensors")
    assert [gate.tolist() for gate in (*again.heads, *again.units)] == [[1], [], [0, 1], [1]]
