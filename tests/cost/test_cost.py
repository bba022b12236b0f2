"""The cost of a model contains every figure, and is the same after writing and reading the record."""

from __future__ import annotations

from secateur.cost import cost_of, count_flops, disk_bytes, encoder_matrices, parameter_counts, peak_memory
from secateur.record import Cost


def test_cost_holds_each_figure_and_survives_the_record(shrink, tmp_path):
    model = shrink(heads=[0, 3], units=[5, 0])
    model.save_pretrained(tmp_path)
    cost = cost_of(model, tmp_path, lengths=[16, 8, 16])
    assert (cost.parameters, cost.encoder_parameters) == parameter_counts(model)
    assert cost.flops == {length: count_flops(model, length=length) for length in (8, 16)}
    assert cost.peak_memory_bytes == {length: peak_memory(model, length=length) for length in (8, 16)}
    assert cost.disk_bytes == disk_bytes(tmp_path) > 4 * cost.parameters
    assert Cost.model_validate_json(cost.model_dump_json()) == cost


def test_a_sparse_model_weighs_less_where_zeros_are_left_out(shrink, tmp_path):
    model = shrink(heads=[4, 4], units=[48, 48])
    for parameter in model.parameters():
        parameter.data.fill_(1.0)  # fresh biases are zero
    model.save_pretrained(tmp_path)
    assert cost_of(model, tmp_path, lengths=[]).sparse_bytes is None
    for matrix in encoder_matrices(model).values():
        matrix.data[:, ::2] = 0
    cost = cost_of(model, tmp_path, lengths=[])
    weights = 2 * (4 * 32 * 32 + 2 * 32 * 48)
    assert cost.sparse_bytes == cost.disk_bytes - 4 * weights // 2 + weights // 8
