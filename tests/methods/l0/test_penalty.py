"""A price is the cost of open gates; a target is reached whatever the task's gradient."""

from __future__ import annotations

import pytest
import torch

from secateur.methods.l0.hard_concrete import HardConcrete
from secateur.methods.l0.penalty import Price, Target

SEPARATE = [[1.0, 0.0], [0.0, 1.0]]


def test_a_price_is_paid_for_the_open_fraction():
    open_K = torch.tensor([0.5, 0.25], requires_grad=True)
    loss = Price([0.72, 0.8])(open_K, progress=0.3)
    assert loss.item() == pytest.approx(0.36 + 0.2)
    loss.backward()
    torch.testing.assert_close(open_K.grad, torch.tensor([0.72, 0.8]))


def test_the_lagrangian_by_hand():
    """μ · v + ρ/2 · v², then μ ← μ + η · ρ · v · learning rate, with v = target - closed."""
    target = Target([0.5, 0.2], shares=SEPARATE, weight=10, multiplier_rate=10, warmup_ratio=0)
    open_K = torch.tensor([0.9, 0.8])
    assert target(open_K, progress=0).item() == pytest.approx(5 * 0.4**2)
    target.update(open_K, progress=0, learning_rate=0.01)
    torch.testing.assert_close(target.multiplier_C, torch.tensor([0.4, 0.0]))
    assert target(open_K, progress=0).item() == pytest.approx(0.4 * 0.4 + 5 * 0.4**2)


def test_the_target_grows_linearly():
    target = Target([0.5], shares=[[1.0]], weight=2, multiplier_rate=1, warmup_ratio=0.5)
    losses = [target(torch.ones(1), progress=progress).item() for progress in (0, 0.25, 0.5, 1)]
    assert losses == pytest.approx([0, 0.25**2, 0.5**2, 0.5**2])


def test_a_joint_target_counts_weights():
    """Heads are a third of the weights here: all of them closed is a third of what is asked."""
    target = Target([0.5], shares=[[1 / 3, 2 / 3]], weight=2, multiplier_rate=1, warmup_ratio=0)
    assert target(torch.tensor([0.0, 1.0]), progress=1).item() == pytest.approx((0.5 - 1 / 3) ** 2)


PULLS = {
    "none": lambda _: torch.zeros(200),
    "equal": lambda _: torch.full((200,), 5.0),
    "spread": lambda draws: 60 * torch.rand(200, generator=draws),
    "some dear": lambda draws: (3 * torch.rand(200, generator=draws) ** -0.7).clamp(max=900),
}


@pytest.mark.parametrize("pulls", PULLS)
@pytest.mark.parametrize(
    ("steps", "learning_rate", "within"), [(138, 0.145, 0.08), (322, 0.062, 0.05), (685, 0.03, 0.03), (3000, 0.1, 0.03)]
)
@pytest.mark.parametrize("wanted", [0.3, 0.7])
def test_the_target_is_reached_whatever_the_task_pays_for_open_gates(pulls, steps, learning_rate, within, wanted):
    """Adam under noisy pulls ends at the target, since the multiplier balances them, in phases of any length."""
    draws = torch.Generator().manual_seed(0)
    distribution = HardConcrete(beta=2 / 3, lower=-0.1, upper=1.1)
    alpha_N = (2.3 + 0.01 * torch.randn(200, generator=draws)).requires_grad_()
    pull_N = PULLS[pulls](draws)
    target = Target([wanted], shares=[[1.0]], weight=100, multiplier_rate=0.3, warmup_ratio=0.9)
    optimizer = torch.optim.AdamW([alpha_N], lr=learning_rate, weight_decay=0)
    for step in range(steps):
        open_N = distribution.open_probability(alpha_N)
        noisy_N = pull_N + 2 * pull_N.mean().clamp(min=1) * torch.randn(200, generator=draws)
        (target(open_N.mean()[None], progress=step / steps) - (noisy_N * open_N).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            alpha_N.clamp_(-4.6, 4.6)
            now = distribution.open_probability(alpha_N).mean()[None]
        target.update(now, progress=step / steps, learning_rate=learning_rate)
    assert 1 - now.item() == pytest.approx(wanted, abs=within)


def test_the_violation_is_as_exact_under_autocast():
    target = Target([0.5, 0.2], shares=SEPARATE, weight=100, multiplier_rate=1, warmup_ratio=0)
    open_K = torch.tensor([0.5009, 0.8019])
    exact = target(open_K, progress=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(target(open_K, progress=1), exact)


def test_multipliers_are_part_of_the_state():
    assert list(Target([0.5], shares=[[1.0]], weight=1, multiplier_rate=1, warmup_ratio=0).state_dict()) == [
        "multiplier_C"
    ]
