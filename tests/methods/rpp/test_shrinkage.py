"""Prices and γ are renewed at the given interval, and the threshold matches the chosen scale."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from secateur.methods.rpp.proximal import adam_denominators, proximal_step, reweighted
from secateur.methods.rpp.shrinkage import Penalty, Shrinkage

STEPS = 10
SETTINGS: dict[str, Any] = {
    "sparsity": None,
    "gamma": 0.05,
    "reweight": True,
    "every": 3,
    "epsilon": 1e-9,
    "scale": "scalar",
}


class Training:
    """A matrix that an optimizer moves about, and what is done to it after each of its steps."""

    def __init__(self, **changes: Any) -> None:
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(30, 20))
        self.optimizer = AdamW([self.weight], lr=0.01)
        self.shrinkage = Shrinkage(penalty=Penalty(**{**SETTINGS, **changes}), groups=[[self.weight]])
        self.sizes = [0.01] * STEPS

    def step(self, number: int) -> torch.Tensor:
        """Take one, and tell what the optimizer left before it was shrunk."""
        self.optimizer.zero_grad()
        (self.weight - 0.3).square().mean().backward()
        self.optimizer.step()
        left = self.weight.detach().clone()
        self.shrinkage.after_step(self.optimizer, step=number, step_sizes=self.sizes)
        return left


def test_prices_are_those_of_the_weights_every_so_many_steps_ago():
    training, renewed = Training(every=3), []
    for number in range(STEPS):
        before = training.shrinkage.alphas
        left = training.step(number)
        if training.shrinkage.alphas is not before:
            renewed.append(number)
            torch.testing.assert_close(training.shrinkage.alphas[0], reweighted([left], epsilon=1e-9))
    assert renewed == [0, 3, 6, 9]


def test_plain_l1_has_one_price_for_all():
    training = Training(reweight=False)
    for number in range(STEPS):
        training.step(number)
        assert training.shrinkage.alphas[0][0].eq(1).all()


@pytest.mark.parametrize("scale", ["scalar", "adam"])
def test_the_threshold_is_the_step_size_s_or_adam_s_own(scale):
    training = Training(scale=scale)
    for number in range(4):
        left = training.step(number)
        metric = adam_denominators([training.weight], training.optimizer) if scale == "adam" else None
        proximal_step([left], training.shrinkage.alphas[0], size=0.01 * 0.05, denominators=metric)
        assert left.equal(training.weight)


def test_gamma_follows_the_target_and_is_corrected_with_the_prices():
    """What was zeroed and what is left of the phase say how strong it has to be from there on."""
    training, gammas = Training(sparsity=0.6, gamma=None), []
    for number in range(STEPS):
        training.step(number)
        gammas.append(training.shrinkage.gammas[0])
    assert [a == b for a, b in pairwise(gammas)] == [True, True, False] * 3
    assert training.shrinkage.first_gammas == gammas[:1]
    assert training.weight.eq(0).float().mean().item() == pytest.approx(0.6, abs=0.03)


def test_a_given_gamma_stays():
    training = Training()
    for number in range(STEPS):
        training.step(number)
    assert training.shrinkage.gammas == training.shrinkage.first_gammas == [0.05]
    assert 0 < training.shrinkage.predicted[0] < 1


def test_another_process_goes_on_to_the_bit():
    whole, first = Training(sparsity=0.6, gamma=None), Training(sparsity=0.6, gamma=None)
    for number in range(STEPS):
        whole.step(number)
    for number in range(5):
        first.step(number)
    second = Training(sparsity=0.6, gamma=None)
    second.weight.data.copy_(first.weight)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.shrinkage.load_state_dict(first.shrinkage.state_dict())
    second.shrinkage.bring_to_weights()
    for number in range(5, STEPS):
        second.step(number)
    assert second.weight.equal(whole.weight)
