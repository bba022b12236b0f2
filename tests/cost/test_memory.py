"""Peak memory matches figures worked out by hand, and the size of a folder counts all files in it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur.cost import count_flops, disk_bytes, peak_memory
from secateur.cost.memory import peak_bytes
from secateur.errors import SecateurError
from tests.architectures import ARCHITECTURES, random_model


class Chain(nn.Module):
    """Linear 4 → 8, ReLU, Linear 8 → 2, and a buffer of 5 doubles."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.register_buffer("table", torch.zeros(5, dtype=torch.float64))

    def forward(self, x):
        return self.body(x)


class Residual(nn.Module):
    """Holds its input's copy over a wide detour; views and operations in place take nothing."""

    def forward(self, x):
        held = x * 2
        wide = torch.cat([held.t().t(), held, held])
        wide.add_(1)
        wide = wide.sum(0)
        return held + wide


RESIDENT = 4 * (4 * 8 + 8 + 8 * 2 + 2) + 5 * 8


def test_chain_by_hand():
    """At the ReLU its input and output, 3 × 8 floats each, are alive; the last linear needs less."""
    assert peak_bytes(Chain(), {"x": torch.zeros(3, 4)}) == RESIDENT + 3 * 4 * 4 + 2 * 3 * 8 * 4


def test_residual_by_hand():
    """At the sum over rows the held copy (10 × 4), the detour (30 × 4) and the sum (4) are alive."""
    assert peak_bytes(Residual(), {"x": torch.zeros(10, 4)}) == 4 * (40 + 40 + 120 + 4)


def test_tied_parameters_take_their_memory_once():
    chain = Chain()
    chain.twin = nn.Linear(4, 8)
    chain.twin.weight = chain.body[0].weight
    chain.twin.bias = chain.body[0].bias
    x = torch.zeros(3, 4)
    assert peak_bytes(chain, {"x": x}) == peak_bytes(Chain(), {"x": x})


def test_is_the_same_every_time_and_keeps_no_graph(dense):
    dense.train()
    first = peak_memory(dense, length=24, batch_size=2)
    count_flops(dense, length=24)
    assert peak_memory(dense, length=24, batch_size=2) == first
    assert dense.training


def test_eager_attention_takes_its_scores(dense):
    """4 heads' scores of 40 × 40 must show: they are what long sequences run out of memory with."""
    dense.set_attn_implementation("sdpa")
    fused = peak_memory(dense, length=40)
    dense.set_attn_implementation("eager")
    assert peak_memory(dense, length=40) >= fused + 4 * 40 * 40 * 4


def test_a_shrunk_model_takes_less(dense, shrink):
    small = shrink(heads=[0, 2], units=[8, 0])
    gone = sum(p.nbytes for p in dense.parameters()) - sum(p.nbytes for p in small.parameters())
    assert peak_memory(small, length=40) <= peak_memory(dense, length=40) - gone


@pytest.mark.parametrize("task", ["QuestionAnswering", "SequenceClassification", "MultipleChoice", "MaskedLM"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_and_task_can_be_measured(model_type, task):
    model = random_model(model_type, task=task)
    assert peak_memory(model, length=31, batch_size=2) > peak_memory(model, length=31) > 0
    assert count_flops(model, length=31, batch_size=2) == 2 * count_flops(model, length=31) > 0


def test_disk_bytes_counts_files_in_subfolders(tmp_path):
    (tmp_path / "config.json").write_bytes(b"12345")
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"1234567")
    assert disk_bytes(tmp_path) == 12


def test_disk_bytes_of_no_folder_is_refused(tmp_path):
    with pytest.raises(SecateurError, match="nowhere: no such folder"):
        disk_bytes(tmp_path / "nowhere")
