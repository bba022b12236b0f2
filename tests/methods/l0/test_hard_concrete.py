"""Hard-concrete gates follow the distribution of Louizos et al., in samples, expectation and at test time."""

from __future__ import annotations

import math

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.l0 import HardConcrete

USUAL = {"beta": 2 / 3, "lower": -0.1, "upper": 1.1}


@pytest.mark.parametrize("alpha", [-2.0, 0.0, 1.5])
def test_samples_are_open_as_often_as_the_probability_says(alpha):
    torch.manual_seed(0)
    gates = HardConcrete(**USUAL)
    location = torch.full((200_000,), alpha)
    samples = gates.sample(location)
    assert samples.min() >= 0 and samples.max() <= 1
    expected = gates.open_probability(torch.tensor(alpha)).item()
    assert (samples != 0).float().mean().item() == pytest.approx(expected, abs=0.005)
    # Exactly 1 with the probability that the paper's eq. 3, read literally, would count: sigmoid(α - β log(11)).
    fully = 1 / (1 + math.exp(-(alpha - 2 / 3 * math.log(11))))
    assert (samples == 1).float().mean().item() == pytest.approx(fully, abs=0.005)


def test_open_probability_by_hand():
    """sigmoid(α - β log(-γ/ζ)) = sigmoid(α + 1.59860) with the usual constants."""
    probability = HardConcrete(**USUAL).open_probability(torch.tensor([0.0, -1.59860]))
    torch.testing.assert_close(probability, torch.tensor([0.83182, 0.5]), atol=1e-5, rtol=0)


def test_alpha_of_is_its_inverse():
    gates = HardConcrete(**USUAL)
    assert gates.open_probability(torch.tensor(gates.alpha_of(0.98))).item() == pytest.approx(0.98, abs=1e-6)


def test_the_gate_at_test_time():
    """clamp(sigmoid(α) · 1.2 - 0.1): 0 up to α = -log 11, 1 from α = log 11, and stretched ranks as α does."""
    gates = HardConcrete(**USUAL)
    alpha = torch.tensor([-4.6, -math.log(11) - 1e-3, 0.0, math.log(11) + 1e-3, 4.6])
    torch.testing.assert_close(gates.deterministic(alpha), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert gates.stretched(alpha).diff().min() > 0


def test_samples_pass_gradients_to_alpha():
    alpha = torch.zeros(1000, requires_grad=True)
    HardConcrete(**USUAL).sample(alpha).sum().backward()
    assert (alpha.grad >= 0).all()
    assert alpha.grad.sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0}, r"beta=0: must be above 0"),
        ({"lower": 0.0}, r"lower=0\.0: must be below 0"),
        ({"upper": 1.0}, r"upper=1\.0: must be above 1"),
    ],
)
def test_refuses_what_is_no_distribution(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        HardConcrete(**{**USUAL, **settings})
