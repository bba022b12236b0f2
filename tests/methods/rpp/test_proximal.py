"""The proximal step solves its minimisation problem and gives exact zeros, unlike a penalty in the loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.optim import AdamW

from secateur.methods.rpp.proximal import adam_denominators, proximal_step, reweighted, soft_threshold


def matrices(*, seed: int = 0) -> list[Tensor]:
    """More than one fused call's worth, of several shapes; one is what a layer without heads has."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 5), (4, 4), (7, 2), (0, 4)] * 3
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_soft_threshold_by_hand():
    weights = [torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])]
    soft_threshold(weights, [torch.ones(7)])
    assert weights[0].tolist() == [-2, 0, 0, 0, 0, 0, 2]


def test_the_step_minimises_penalty_and_distance():
    """No other point near it is better, coordinate by coordinate, for every weight and price."""
    before, prices = matrices(), [tensor.abs() for tensor in matrices(seed=1)]
    after = [weight.clone() for weight in before]
    proximal_step(after, prices, size=0.7)

    def cost(x: Tensor, a: Tensor, price: Tensor) -> Tensor:
        return 0.7 * price * x.abs() + (x - a).square() / 2

    for a, x, price in zip(before, after, prices, strict=True):
        for move in (-0.3, -1e-2, 1e-2, 0.3):
            assert (cost(x + move, a, price) >= cost(x, a, price)).all()
        assert x.eq(0).equal(a.abs() <= 0.7 * price)


def test_a_metric_divides_the_threshold_and_no_step_moves_nothing():
    plain, metric = matrices(), matrices()
    proximal_step(plain, [torch.ones_like(weight) for weight in plain], size=0.25)
    halves = [torch.full_like(weight, 0.5) for weight in metric]
    proximal_step(metric, [torch.ones_like(weight) for weight in metric], size=0.125, denominators=halves)
    assert all(map(torch.equal, plain, metric))
    untouched = matrices()
    proximal_step(untouched, [torch.full_like(weight, torch.inf) for weight in untouched], size=0.0)
    assert all(map(torch.equal, untouched, matrices()))
    proximal_step([], [], size=1.0)


def test_prices_are_high_where_weights_are_small():
    (alpha,) = reweighted([torch.tensor([0.0, -0.5, 2.0])], epsilon=1e-9)
    assert alpha.tolist() == pytest.approx([1e9, 2.0, 0.5])


def test_adams_denominators_are_those_of_its_step():
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]]))
    optimizer = AdamW([weight], lr=0.1, betas=(0.0, 0.99), weight_decay=0.0)
    for gradient in ([1.0, 0.1, 0.0], [0.5, -0.3, 0.0]):
        before = weight.detach().clone()
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    (denominators,) = adam_denominators([weight], optimizer)
    # Without a first moment Adam moves by λ g / denominator.
    expected = (before - 0.1 * weight.grad / denominators)[:, :2]
    torch.testing.assert_close(weight.detach()[:, :2], expected)


def regression(*, shrink: bool, in_loss: bool) -> Tensor:
    """Weights after 400 steps of AdamW on targets that 4 of 20 inputs explain."""
    torch.manual_seed(0)
    x_BI = torch.randn(64, 20)
    true_I = torch.cat([torch.tensor([1.0, -1.0, 0.5, 2.0]), torch.zeros(16)])
    weight = torch.nn.Parameter(0.1 * torch.randn(1, 20))
    optimizer = AdamW([weight], lr=0.01, weight_decay=0.0)
    alphas: list[Tensor] = []
    for step in range(400):
        loss = (x_BI @ weight[0] - x_BI @ true_I).square().mean()
        optimizer.zero_grad()
        (loss + 0.1 * weight.abs().sum() if in_loss else loss).backward()
        optimizer.step()
        if shrink:
            alphas = reweighted([weight], epsilon=1e-9) if step % 20 == 0 else alphas
            proximal_step([weight.detach()], alphas, size=0.01 * 0.05)
    return weight.detach()[0]


def test_zeros_are_exact_where_a_penalty_in_the_loss_leaves_none():
    """Claim of the paper: Adam with the penalty in its gradient leaves small weights, the proximal step zeros."""
    proximal, penalised = regression(shrink=True, in_loss=False), regression(shrink=False, in_loss=True)
    assert proximal[4:].eq(0).sum() > 10
    assert penalised[4:].abs().max() < 0.1
    assert penalised.ne(0).all()
