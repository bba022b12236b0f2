"""γ from a target sparsity: the law is compared with weights that are shrunk step by step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from secateur.methods.rpp.calibration import boundary_for, gamma_for, reach, zeroed_by
from secateur.methods.rpp.proximal import proximal_step, reweighted

CONSTANT = [2e-5] * 20_000
WARM_AND_DECAYED = [1e-3 * min(k / 40, (400 - k) / 360) for k in range(400)]


def shrunk(weights: Tensor, step_sizes: list[float], *, gamma: float, every: int | None) -> Tensor:
    """What the proximal steps alone leave of ``weights``, in double precision."""
    weights, alphas = weights.double().clone(), [torch.ones_like(weights, dtype=torch.double)]
    for step, size in enumerate(step_sizes):
        if every is not None and step % every == 0:
            alphas = reweighted([weights], epsilon=1e-9)
        proximal_step([weights], alphas, size=size * gamma)
    return weights


@pytest.mark.parametrize(("every", "boundary"), [(1, 0.0283), (2_000, 0.0266), (20_000, 0.0200)])
def test_the_boundary_of_a_long_run(every, boundary):
    """Figures of a simulation at γ = 1e-3: reweighted at every step, at every 2,000th, never."""
    assert math.sqrt(1e-3) * reach(CONSTANT, every=every) == pytest.approx(boundary, abs=1e-4)


def test_the_law_has_the_limits_that_it_is_named_after():
    total = math.fsum(WARM_AND_DECAYED)
    assert reach(WARM_AND_DECAYED, every=400) == pytest.approx(math.sqrt(total))
    assert reach(CONSTANT, every=1) == pytest.approx(math.sqrt(2 * math.fsum(CONSTANT)), rel=1e-3)
    assert gamma_for(0.1, WARM_AND_DECAYED, every=None) == pytest.approx(0.1 / total)


@pytest.mark.parametrize("every", [None, 1, 7, 100, 1000])
@pytest.mark.parametrize("sparsity", [0.2, 0.8])
def test_predicted_and_simulated_sparsity_agree(every, sparsity):
    weights = 0.05 * torch.randn(4_000, generator=torch.Generator().manual_seed(0)).double()
    boundary = boundary_for([weights.abs()], sparsity=sparsity)
    gamma = gamma_for(boundary, WARM_AND_DECAYED, every=every)
    found = shrunk(weights, WARM_AND_DECAYED, gamma=gamma, every=every)
    assert found.eq(0).double().mean().item() == pytest.approx(sparsity, abs=0.005)


def test_large_weights_are_shrunk_less_than_by_l1():
    """Claim of the paper, at equal sparsity: survivors keep more of their size."""
    weights = 0.05 * torch.randn(4_000, generator=torch.Generator().manual_seed(0)).double()
    boundary = boundary_for([weights.abs()], sparsity=0.6)
    means = {}
    for every in (None, 20):
        gamma = gamma_for(boundary, WARM_AND_DECAYED, every=every)
        found = shrunk(weights, WARM_AND_DECAYED, gamma=gamma, every=every)
        means[every] = found[found != 0].abs().mean() / weights[found != 0].abs().mean()
    assert means[20] > 0.7
    assert means[None] < 0.6


def test_nothing_asked_or_no_steps_left_is_no_penalty():
    assert boundary_for([torch.ones(5)], sparsity=0.0) == 0
    assert gamma_for(0.0, CONSTANT, every=1) == 0
    assert gamma_for(0.1, [0.0], every=1) == 0
    assert boundary_for([torch.tensor([3.0, 1.0]), torch.tensor([[2.0]])], sparsity=0.5) == 2


@pytest.mark.parametrize("every", [5, None])
def test_what_a_gamma_zeroes_is_the_law_the_other_way_round(every):
    sizes = [torch.linspace(0.001, 1, 1000)]
    step_sizes = [1e-3] * 40
    gamma = gamma_for(0.3, step_sizes, every=every)
    assert zeroed_by(gamma, sizes, step_sizes, every=every) == pytest.approx(0.3, abs=0.002)
