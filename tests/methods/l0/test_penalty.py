"""A price is what open gates cost; a target is reached, wherever the task pulls."""

from __future__ import annotations

import pytest
import torch

from secateur.methods.l0.penalty import Price, Target

SEPARATE = [[1.0, 0.0], [0.0, 1.0]]


def test_a_price_is_paid_for_the_open_fraction():
    open_K = torch.tensor([0.5, 0.25], requires_grad=True)
    loss = Price([0.72, 0.8])(open_K, progress=0.3)
    assert loss.item() == pytest.approx(0.36 + 0.2)
    loss.backward()
    torch.testing.assert_close(open_K.grad, torch.tensor([0.72, 0.8]))


def test_the_lagrangian_by_hand():
    """μ · v + ρ/2 · v², then μ ← μ + η · share · v, with v = target - closed."""
    target = Target([0.5, 0.2], shares=SEPARATE, weight=10, multiplier_rate=100, warmup_ratio=0)
    open_K = torch.tensor([0.9, 0.8])
    assert target(open_K, progress=0).item() == pytest.approx(5 * 0.4**2)
    target.update(open_K, progress=0, share=0.01)
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


@pytest.mark.parametrize("pull", [0.0, 3.0, -3.0])
def test_the_target_is_reached_whatever_the_task_pays_for_an_open_gate(pull):
    """Gradient descent on α under a constant pull ends at the target, since the multiplier balances it."""
    target = Target([0.6], shares=[[1.0]], weight=100, multiplier_rate=200, warmup_ratio=0.9)
    alpha = torch.full((50,), 2.0, requires_grad=True)
    optimizer = torch.optim.Adam([alpha], lr=0.1)
    for step in range(300):
        open_K = alpha.sigmoid().mean()[None]
        (target(open_K, progress=step / 300) - pull * open_K.sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        target.update(alpha.sigmoid().mean()[None].detach(), progress=step / 300, share=1 / 300)
    assert alpha.sigmoid().mean().item() == pytest.approx(0.4, abs=0.02)


def test_multipliers_are_part_of_the_state():
    assert list(Target([0.5], shares=[[1.0]], weight=1, multiplier_rate=1, warmup_ratio=0).state_dict()) == [
        "multiplier_C"
    ]
