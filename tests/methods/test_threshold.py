"""The least important gates are closed, exactly as many as requested."""

from __future__ import annotations

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.threshold import Threshold, close_below, close_jointly, close_separately
from secateur.structure.gates import PerGate


@pytest.mark.parametrize(
    ("fraction", "count", "closed"),
    [
        (0.0, 12, 0),
        (0.5, 12, 6),
        (0.5, 13, 7),
        (0.01, 12, 1),
        (0.99, 12, 12),
        # Binary noise above a whole number: 0.07 · 100 = 7.000000000000001, 0.7 · 10 and 0.3 · 10 are near whole ones.
        (0.07, 100, 7),
        (0.29, 100, 29),
        (0.3, 10, 3),
        (0.7, 10, 7),
        (0.7, 72, 51),
        (1 / 3, 144, 48),
        (0.57, 36864, 21013),
    ],
)
def test_closes_the_smallest_number_not_below_the_request(fraction, count, closed):
    """Spread over two layers, ranked together; heads and units by the same rule."""
    one, other = torch.rand(count).split([count // 3, count - count // 3])
    gates = close_separately(PerGate(heads=(one, other), units=(other, one)), heads=fraction, units=fraction)
    for per_layer in (gates.heads, gates.units):
        assert sum(int((gate == 0).sum()) for gate in per_layer) == closed
        assert set(torch.cat(per_layer).tolist()) <= {0.0, 1.0}


def test_ranks_over_all_layers_together():
    """A layer may lose everything while another keeps everything; heads and units do not compete."""
    importance = PerGate(heads=(_scores(1, 2), _scores(9, 8)), units=(_scores(30, 70, 50), _scores(60, 10, 20)))
    gates = close_separately(importance, heads=0.5, units=0.5)
    assert [gate.tolist() for gate in gates.heads] == [[0, 0], [1, 1]]
    assert [gate.tolist() for gate in gates.units] == [[0, 1, 1], [1, 0, 0]]


def test_of_equals_the_first_goes():
    """Ties are broken the same way everywhere, also among many: an unstable sort would not."""
    flat = PerGate(heads=(torch.zeros(50),) * 4, units=(torch.zeros(300),) * 4)
    gates = close_separately(flat, heads=0.25, units=0.5)
    assert [int(gate.sum()) for gate in gates.heads] == [0, 50, 50, 50]
    assert [int(gate.sum()) for gate in gates.units] == [0, 0, 300, 300]
    joint = close_jointly(flat, fraction=0.375, weights_per_head=6, weights_per_unit=1)
    assert [int(gate.sum()) for gate in (*joint.heads, *joint.units)] == [0, 0, 0, 50, 300, 300, 300, 300]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.25, 0.5, 0.777, 0.999])
def test_joint_split_reaches_the_fraction_of_weights_and_no_gate_more(fraction):
    torch.manual_seed(int(1000 * fraction))
    importance = PerGate(heads=(torch.rand(4), torch.rand(3)), units=(torch.rand(40), torch.rand(0), torch.rand(25)))
    gates = close_jointly(importance, fraction=fraction, weights_per_head=8, weights_per_unit=2)
    total = 7 * 8 + 65 * 2
    weights = torch.tensor([8.0] * 7 + [2.0] * 65)
    score = torch.cat([*importance.heads, *importance.units]) / weights
    gone = torch.cat([*gates.heads, *gates.units]) == 0
    removed = weights[gone].sum().item()
    assert removed >= fraction * total
    if fraction == 0:
        assert removed == 0
        return
    # What goes is worth less per weight than all that stays, and without the last of it the request is missed.
    assert gone.all() or score[gone].max() <= score[~gone].min()
    last = score.masked_fill(~gone, -1).argmax()
    assert removed - weights[last] < fraction * total


@pytest.mark.parametrize(("fraction", "closed"), [(0.07, 7), (0.14, 14), (0.29, 29), (0.57, 57), (0.075, 8)])
def test_joint_split_is_not_misled_by_binary_noise(fraction, closed):
    """0.07 · 100 is a little above 7; seven weights of a hundred are still enough."""
    importance = PerGate(heads=(torch.rand(0),), units=(torch.rand(100),))
    gates = close_jointly(importance, fraction=fraction, weights_per_head=8, weights_per_unit=1)
    assert int((gates.units[0] == 0).sum()) == closed


def test_trained_gates_are_ranked_jointly_as_they_are():
    """Their price went by weight already: a half-open unit goes before an open head, however many weights that has."""
    importance = PerGate(heads=(_scores(1.05, 1.04),), units=(_scores(0.3, -0.1, 0.4, 1.0),))
    closed = {
        per_weight: close_jointly(
            importance, fraction=0.25, weights_per_head=4, weights_per_unit=1, per_weight=per_weight
        )
        for per_weight in (True, False)
    }
    assert [gate.tolist() for gate in (*closed[False].heads, *closed[False].units)] == [[1, 1], [0, 0, 0, 1]]
    assert closed[True].heads[0].tolist() == [1, 0]


def test_threshold_closes_whatever_is_at_most_this_important(make_context):
    importance = PerGate(heads=(_scores(1, 5), _scores(3, 2)), units=(_scores(3, 9), _scores(0.5, 4)))
    gates = Threshold(sparsity=None, threshold=3).run(State(model=None, importance=importance), make_context()).gates
    assert [gate.tolist() for gate in gates.heads] == [[0, 1], [0, 0]]
    assert [gate.tolist() for gate in gates.units] == [[0, 1], [0, 1]]


def test_every_layer_keeps_its_most_important_heads():
    """They are passed over, and the next in rank goes instead: the amount is still what was asked for."""
    importance = PerGate(heads=(_scores(1, 2, 3), _scores(7, 9, 8)), units=(_scores(1), _scores(2)))
    gates = close_separately(importance, heads=0.5, units=0, min_heads_per_layer=1)
    assert [gate.tolist() for gate in gates.heads] == [[0, 0, 1], [0, 1, 1]]
    below = close_below(importance, 8, min_heads_per_layer=2)
    assert [gate.tolist() for gate in below.heads] == [[0, 1, 1], [0, 1, 1]]


def test_more_than_may_go_is_refused_before_anything_is_trained():
    step = Threshold(sparsity=0.6, min_heads_per_layer=2)
    with pytest.raises(SecateurError, match=r"^min_heads_per_layer=2: leaves 4 of 8 heads to remove, fewer than the 5"):
        step.check(heads=[4, 4], units=[8, 8])
    step.check(heads=[5, 5], units=[8, 8])


def test_joint_split_ranks_by_score_per_weight():
    """A head is worth four units' weights here, so its score counts a quarter."""
    importance = PerGate(heads=(_scores(8, 3),), units=(_scores(1, 5, 0.5, 4),))
    gates = close_jointly(importance, fraction=0.4, weights_per_head=4, weights_per_unit=1)
    assert gates.heads[0].tolist() == [1, 0]
    assert gates.units[0].tolist() == [1, 1, 0, 1]


def test_sparsity_takes_the_same_fraction_of_both(make_model, make_context):
    gates = _run(Threshold(sparsity=0.3), make_model(), make_context())
    assert _closed(gates) == (4, 44)  # of 12 heads and 144 units


@pytest.mark.parametrize(
    ("amounts", "closed"), [({"heads": 0.5}, (6, 0)), ({"units": 0.5}, (0, 72)), ({"heads": 0, "units": 0.1}, (0, 15))]
)
def test_heads_and_units_alone_leave_the_other_whole(make_model, make_context, amounts, closed):
    assert _closed(_run(Threshold(sparsity=None, **amounts), make_model(), make_context())) == closed


def test_joint_step_counts_the_matrices_of_the_model(make_model, make_context):
    """A head is 4 · hidden · head size weights, a unit 2 · hidden: with equal scores per weight units go last."""
    importance = PerGate(heads=(torch.full((4,), 16.0),) * 3, units=(torch.full((48,), 1.001),) * 3)
    gates = _run(Threshold(sparsity=0.4, split="joint"), make_model(), make_context(), importance=importance)
    # 12 heads are 12 · 1024 of 21504 weights, 0.57 of all; 0.4 of them take 9 heads and not a unit.
    assert _closed(gates) == (9, 0)


def test_works_on_what_an_earlier_cut_left(make_model, make_context):
    model = make_model(uneven=True)
    importance = PerGate(
        heads=(torch.rand(0), torch.rand(3), torch.rand(4)), units=(torch.rand(48), torch.rand(0), torch.rand(5))
    )
    gates = _run(Threshold(sparsity=0.5), model, make_context(), importance=importance)
    assert _closed(gates) == (4, 27)
    assert [len(gate) for gate in (*gates.heads, *gates.units)] == [0, 3, 4, 48, 0, 5]


def test_keeps_model_and_importance(make_model, make_context):
    """Surgery looks at importance again when it rounds widths up."""
    state = State(model=make_model(), importance=_random_importance())
    after = Threshold(sparsity=0.5).run(state, make_context())
    assert after.model is state.model
    assert after.importance is state.importance
    assert not Threshold.changes_model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 1.0}, r"sparsity=1\.0: must lie in \[0, 1\)"),
        ({"sparsity": -0.1}, r"sparsity=-0\.1: must lie in \[0, 1\)"),
        ({"sparsity": None, "heads": 1.0}, r"heads=1\.0: must lie in \[0, 1\)"),
        ({"sparsity": None, "units": -1}, r"units=-1: must lie in \[0, 1\)"),
        ({"sparsity": 0.5, "units": 0.2}, r"units=0\.2: cannot be combined with sparsity=0\.5"),
        ({"sparsity": None, "heads": 0.2, "split": "joint"}, r"heads=0\.2: needs split=separate"),
        ({"sparsity": 0.5, "split": "both"}, r"split=both: must be one of separate, joint"),
        ({"sparsity": None}, r"sparsity=null: amount to remove not given"),
        ({"sparsity": 0.5, "threshold": 0}, r"threshold=0: cannot be combined with sparsity="),
        ({"sparsity": None, "heads": 0.2, "threshold": 0}, r"threshold=0: cannot be combined with heads"),
        (
            {"sparsity": None, "units": 0.5, "min_heads_per_layer": 1},
            r"min_heads_per_layer=1: has no effect if no heads are removed; set it to 0",
        ),
        ({"sparsity": 0.5, "min_heads_per_layer": -1}, r"min_heads_per_layer=-1: must be 0 or more"),
        ({"sparsity": None, "split": "joint"}, r"sparsity=null: amount to remove not given"),
    ],
)
def test_refuses_amounts_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        Threshold(**settings)


def _run(step, model, context, *, importance=None) -> PerGate:
    return step.run(State(model=model, importance=importance or _random_importance()), context).gates


def _random_importance() -> PerGate:
    return PerGate(heads=tuple(torch.rand(4) for _ in range(3)), units=tuple(torch.rand(48) for _ in range(3)))


def _closed(gates: PerGate) -> tuple[int, int]:
    values = [torch.cat(per_layer) for per_layer in (gates.heads, gates.units)]
    assert all(set(each.tolist()) <= {0.0, 1.0} for each in values)
    return int((values[0] == 0).sum()), int((values[1] == 0).sum())


def _scores(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)
