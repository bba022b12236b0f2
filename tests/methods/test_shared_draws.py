"""Draws depend only on the seed and on the number of draws before."""

import torch

from secateur.methods.shared_draws import SharedDraws


def test_processes_with_generators_of_their_own_draw_alike():
    one, other = SharedDraws(3), SharedDraws(3)
    torch.manual_seed(1)
    first = [one.next(4) for _ in range(3)]
    torch.manual_seed(2)
    assert [other.next(4) for _ in range(3)] == first
    assert len({number for numbers in first for number in numbers}) == 12


def test_draws_go_on_from_a_checkpoint():
    whole, killed, resumed = SharedDraws(3), SharedDraws(3), SharedDraws(3)
    expected = [whole.next(4) for _ in range(5)][3:]
    for _ in range(3):
        killed.next(4)
    resumed.load_state_dict(killed.state_dict())
    assert [resumed.next(4) for _ in range(2)] == expected


def test_another_seed_draws_others():
    assert SharedDraws(1).next(4) != SharedDraws(2).next(4)
