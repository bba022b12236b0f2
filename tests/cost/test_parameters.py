"""Counts of parameters, and fractions removed and zeroed relative to the reference's."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from secateur.cost import bitmask_saving, encoder_matrices, parameter_counts, structure_of

# one layer of the dense model: four 32 × 32 projections and two 32 × 48 ones
PER_HEAD = 4 * 32 * 8
PER_UNIT = 2 * 32
PER_LAYER = 4 * PER_HEAD + 48 * PER_UNIT


def test_counts_match_the_architecture_by_hand(dense):
    biases_and_norms = 4 * 32 + 48 + 32 + 4 * 32
    encoder = 3 * (PER_LAYER + biases_and_norms)
    embeddings = (64 + 40 + 2) * 32 + 2 * 32
    assert parameter_counts(dense) == (encoder + embeddings + 2 * 32 + 2, encoder)


def test_a_tied_parameter_counts_once():
    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = BertForMaskedLM(BertConfig(vocab_size=50, **sizes))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    untied = sum(parameter.numel() for parameter in model.state_dict().values())
    total, _ = parameter_counts(model)
    assert total == untied - 50 * 16 - 50  # the decoder's weight and bias


def test_matrices_are_the_six_of_each_layer_and_the_models_own(dense):
    matrices = encoder_matrices(dense)
    assert len(matrices) == 6 * 3
    assert matrices["1.output.dense"] is dense.bert.encoder.layer[1].output.dense.weight
    assert sum(matrix.numel() for matrix in matrices.values()) == 3 * PER_LAYER


def test_the_reference_itself_lost_nothing(dense):
    structure = structure_of(dense, reference=dense)
    assert (structure.removed, structure.zeroed, structure.layers_removed) == (0, 0, 0)
    assert (structure.heads_removed, structure.units_removed) == (0, 0)
    assert (structure.heads, structure.units) == ([4, 4, 4], [48, 48, 48])


def test_fractions_of_an_uneven_model_by_hand(dense, shrink):
    """Layers without heads, without units and missing altogether all count against the reference."""
    structure = structure_of(shrink(heads=[0, 3], units=[20, 0]), reference=dense)
    assert (structure.heads, structure.units) == ([0, 3], [20, 0])
    assert structure.removed == pytest.approx(1 - (3 * PER_HEAD + 20 * PER_UNIT) / (3 * PER_LAYER))
    assert structure.heads_removed == pytest.approx(9 / 12)
    assert structure.units_removed == pytest.approx(124 / 144)
    assert structure.layers_removed == pytest.approx(1 / 3)


def test_zeros_count_against_the_reference_so_the_two_fractions_add_up(dense, shrink):
    small = shrink(heads=[4, 4], units=[48, 48])
    with torch.no_grad():
        for matrix in encoder_matrices(small).values():
            matrix[: matrix.shape[0] // 2] = 0
    structure = structure_of(small, reference=dense)
    assert structure.removed == pytest.approx(1 / 3)
    assert structure.zeroed == pytest.approx(1 / 3)


def test_a_model_of_nothing_but_zeros_is_wholly_saved(dense, shrink):
    small = shrink(heads=[1, 0, 2], units=[3, 0, 9])
    with torch.no_grad():
        for matrix in encoder_matrices(small).values():
            matrix.zero_()
    structure = structure_of(small, reference=dense)
    assert structure.removed + structure.zeroed == pytest.approx(1)


def test_biases_and_embeddings_are_no_part_of_the_structure(dense, shrink):
    small = shrink(heads=[4, 4, 4], units=[48, 48, 48])
    with torch.no_grad():
        small.bert.embeddings.word_embeddings.weight.zero_()
        small.bert.encoder.layer[0].output.dense.bias.zero_()
    assert structure_of(small, reference=dense).zeroed == 0


def test_zeros_of_all_parameters_stand_beside_those_of_the_encoder(dense, shrink):
    small = shrink(heads=[4, 4, 4], units=[48, 48, 48])
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(1.0)
        small.bert.encoder.layer[1].output.dense.weight.zero_()
        small.bert.embeddings.position_embeddings.weight.zero_()
    structure = structure_of(small, reference=dense)
    assert structure.zeroed == pytest.approx(48 * 32 / (3 * PER_LAYER))
    assert structure.zeroed_total == pytest.approx((48 * 32 + 40 * 32) / parameter_counts(dense)[0])


def test_a_bitmask_saves_where_enough_is_zero(dense):
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.fill_(1.0)
        assert bitmask_saving(dense) == 0
        dense.bert.encoder.layer[0].output.dense.weight[:, :24] = 0
        dense.bert.encoder.layer[1].output.dense.weight[0, 0] = 0
    # Half of 32 × 48 weights are left out, for a bit each; one zero alone is not worth a mask.
    assert bitmask_saving(dense) == 4 * 32 * 24 - 32 * 48 // 8
