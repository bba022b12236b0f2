"""The cost of a question when the document's states are kept: FLOPs match the paper's formula, and it is timed, too."""

import pytest
import torch

from secateur.cost import cache_difference, cost_of, count_flops, kept, measure_latency
from secateur.cost.inputs import random_inputs
from secateur.structure.checkpoint import save_model
from secateur.structure.decomposition import decompose, encode
from tests.architectures import random_model
from tests.cost.test_flops import closed_form

SLOT = 6


def layer(length):
    """f(s) = 2s(4d² + 2d·d_I) + 4s²d: one layer over s tokens (32 wide, 24 units)."""
    return 2 * length * (4 * 32**2 + 2 * 32 * 24) + 4 * length**2 * 32


def head(length):
    return 2 * length * 32 * 2


@pytest.fixture
def model():
    return decompose(random_model("bert"), lower_layers=2, question_slot=SLOT)


@pytest.mark.parametrize("length", [16, 30])
def test_the_counted_operations_are_those_of_the_formula(model, length):
    """k f(q) + (n - k) f(L) with the document kept; without, k f(L - q) more."""
    kept = 2 * layer(SLOT) + layer(length) + head(length)
    assert count_flops(model, length=length, cached=True) == kept
    assert count_flops(model, length=length) == kept + 2 * layer(length - SLOT)


def test_without_lower_layers_nothing_is_saved(model):
    decompose(model, lower_layers=0, question_slot=SLOT)
    assert count_flops(model, length=16, cached=True) == count_flops(model, length=16) == closed_form(model, 16)


def test_short_inputs_are_half_question(model):
    assert random_inputs(model, length=5, batch_size=1)["question_length"] == 3


@pytest.mark.parametrize("task", ["QuestionAnswering", "MultipleChoice"])
def test_the_kept_states_are_those_of_the_same_input(task):
    """Not made up: the answers are the same."""
    model = decompose(random_model("bert", task=task), lower_layers=2, question_slot=SLOT)
    whole, apart = (random_inputs(model, length=16, batch_size=2, cached=cached) for cached in (False, True))
    with torch.no_grad():
        torch.testing.assert_close(model(**apart)[0], model(**whole)[0], atol=1e-5, rtol=0)


def test_figures_of_both_are_taken_and_a_packed_model_has_but_one(model, tokenizer, tmp_path):
    dense = random_model("bert")
    save_model(model, tokenizer, tmp_path / "model")
    cost = cost_of(model, tmp_path / "model", lengths=[16])
    assert cost.cached_flops == {16: count_flops(model, length=16, cached=True)}
    assert cost.peak_memory_bytes[16] > 0
    assert cost_of(dense, tmp_path / "model", lengths=[16]).cached_flops == {}
    settings = {"batch_sizes": [2], "lengths": [16], "dtypes": ["float32", "bfloat16"], "seconds": 0.01}
    for pair in measure_latency(dense, model, **settings).pairs:
        assert pair.cached is not None
        assert pair.speedup == pair.reference.p50 / pair.cached.p50
    assert measure_latency(dense, dense, **settings).pairs[0].cached is None


def test_keeping_documents_changes_no_output_and_the_figure_would_show_it(model, tokenizer, tmp_path, monkeypatch):
    save_model(model, tokenizer, tmp_path / "model")
    assert 0 <= cost_of(model, tmp_path / "model", lengths=[8, 16]).cache_difference < 1e-5
    assert cost_of(random_model("bert"), tmp_path / "model", lengths=[8]).cache_difference is None
    monkeypatch.setattr(kept, "encode", lambda *given: encode(*given) + 0.1)
    assert cache_difference(model, lengths=[8]) > 1e-5
