"""FLOPs equal the closed form for every architecture, and counting them leaves the model unchanged."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMultipleChoice

from secateur.cost import count_flops, encoder_matrices, structure_of
from secateur.errors import SecateurError
from secateur.structure.gates import PerGate
from secateur.structure.surgery import shrink as cut
from tests.architectures import ARCHITECTURES, random_model


def closed_form(model, length: int) -> int:
    """Projections, the two products of attention, and the two logits of each token."""
    matrices = sum(matrix.numel() for matrix in encoder_matrices(model).values())
    heads = sum(structure_of(model, reference=model).heads)
    return 2 * length * matrices + 2 * 2 * length**2 * heads * 8 + 2 * length * 32 * 2


@pytest.mark.parametrize("length", [1, 16, 40])
def test_dense_model_equals_the_closed_form(dense, length):
    assert count_flops(dense, length=length) == closed_form(dense, length)


def test_uneven_model_equals_the_closed_form(shrink):
    model = shrink(heads=[1, 0], units=[5, 17])
    assert count_flops(model, length=16) == closed_form(model, 16)


def test_layer_without_units_equals_the_closed_form(shrink):
    model = shrink(heads=[0, 2, 4], units=[0, 0, 48])
    assert count_flops(model, length=16) == closed_form(model, 16)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_equals_the_closed_form(model_type):
    """Dense, and uneven with an empty sublayer of each kind; ELECTRA projects its embeddings besides."""
    model = random_model(model_type)
    projection = 2 * 16 * 128 * 32 if model_type == "electra" else 0
    assert count_flops(model, length=16) == closed_form(model, 16) + projection
    gates = PerGate(
        heads=(torch.zeros(4), torch.tensor([1.0, 0, 0, 1]), torch.ones(4)),
        units=(torch.ones(24), torch.zeros(24), (torch.arange(24) < 5).float()),
    )
    assert count_flops(cut(model, gates), length=16) == closed_form(model, 16) + projection


def test_a_batch_costs_as_much_as_its_sequences(dense):
    assert count_flops(dense, length=16, batch_size=3) == 3 * count_flops(dense, length=16)


def test_leaves_kernel_and_modes_as_they_were(dense):
    """Counting amid training must change neither the kernel nor which submodules stay in evaluation mode."""
    dense.set_attn_implementation("sdpa")
    dense.train()
    dense.bert.embeddings.eval()
    count_flops(dense, length=16)
    assert dense.config._attn_implementation == "sdpa"
    assert dense.training
    assert not dense.bert.embeddings.training
    assert not dense.bert.embeddings.dropout.training


def test_puts_the_kernel_back_when_the_pass_fails(dense):
    dense.set_attn_implementation("sdpa")

    def fail(*_):
        raise RuntimeError("broken layer")

    dense.bert.encoder.layer[1].register_forward_pre_hook(fail)
    dense.train()
    with pytest.raises(RuntimeError, match="broken layer"):
        count_flops(dense, length=16)
    assert dense.config._attn_implementation == "sdpa"
    assert dense.training


def test_too_long_a_sequence_is_refused_with_the_limit(dense):
    with pytest.raises(SecateurError, match=r"length=41 .* 1 to 40 tokens"):
        count_flops(dense, length=41)


def test_a_multiple_choice_model_is_counted_by_the_sequence():
    """Its forward takes (batch, choices, length); a plain (batch, length) would be misread."""
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForMultipleChoice(BertConfig(vocab_size=50, **sizes))
    assert count_flops(model, length=8, batch_size=3) == 3 * count_flops(model, length=8)
