"""Heads are removed in the requested order, gates score the same as surgery, and no score is computed twice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.base import Context, State
from secateur.methods.gain import Gain
from secateur.methods.heads import BestHead, Curve, Rank, curve_counts, gates_without, next_heads, normalized, ranked
from secateur.methods.threshold import Threshold
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from tests.small_runs import Killed, run

# Layer 0 matters a hundred times as much as layer 1; normalised, they are (.6, .8), (.447, .894) and (0, 0).
SCORES = ((30.0, 40.0), (0.1, 0.2), (0.0, 0.0))


def test_each_layer_is_divided_by_its_l2_norm():
    assert normalized(_scores(30, 40)).tolist() == pytest.approx([0.6, 0.8])
    assert normalized(_scores(0, 0)).tolist() == [0, 0]
    assert normalized(_scores(3e-30, 4e-30)).tolist() == pytest.approx([0.6, 0.8])
    assert normalized(_scores()).tolist() == []
    assert normalized(_scores(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("ranking", "order"),
    [
        ("ascending", [[2, 0], [2, 1], [1, 0], [0, 0], [0, 1], [1, 1]]),
        ("descending", [[1, 1], [0, 1], [0, 0], [1, 0], [2, 0], [2, 1]]),
    ],
)
def test_heads_of_all_layers_go_in_one_order(make_context, ranking, order):
    """Without the norm, layer 0 would keep both of its heads to the end."""
    importance = _importance(*SCORES)
    after = Rank(ranking=ranking).run(State(model=None, importance=importance), make_context()).importance
    assert next_heads(after, [], count=6) == order
    assert after.units is importance.units
    assert not Rank.changes_model


def test_a_random_order_follows_from_the_steps_seed_alone():
    importance = _importance(*SCORES)
    torch.manual_seed(7)
    orders = [next_heads(ranked(importance, ranking="random", seed=seed), [], count=6) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert orders[2] not in (orders[0], orders[3])
    assert all(sorted(order) == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]] for order in orders)


@pytest.mark.parametrize(
    ("sizes", "settings", "counts"),
    [
        ([12] * 12, {"step": 0.1, "until": 0.9}, [0, 15, 29, 44, 58, 72, 87, 101, 116, 130]),
        ([10], {"step": 0.1, "until": 0.3}, [0, 1, 2, 3]),
        ([10], {"step": 0.1, "until": 1.0}, [*range(11)]),
        ([10], {"step": 0.4, "until": 0.9}, [0, 4, 8]),
        ([2, 0, 1], {"step": 0.05, "until": 0.9}, [0, 1, 2, 3]),
        ([4, 4, 1], {"step": 0.5, "until": 1.0, "keep": 2}, [0, 4]),
        ([4], {"step": 0.1, "until": 0.0}, [0]),
        ([0, 0], {"step": 0.1, "until": 0.9}, [0]),
    ],
)
def test_no_point_is_scored_twice_and_none_is_below_what_was_asked(sizes, settings, counts):
    assert curve_counts(sizes, **settings) == counts


def test_the_curve_is_what_physical_removal_scores(make_model, make_context, batch):
    """Scores of a model of random weights hardly move, so its loss stands beside them."""
    plain = make_context()
    context = dataclasses.replace(
        plain,
        scores=lambda model, *, split="test": {
            **plain.scores(model),
            "loss": plain.task.forward(model, batch)["loss"].item(),
        },
    )
    state = State(model=make_model(), importance=_random_importance(4, 4, 4))
    after = Curve(step=0.25, until=1.0, batch_size=8).run(state, context)
    points = after.details["curve"]
    assert [point["heads_removed"] for point in points] == [0, 0.25, 0.5, 0.75, 1.0]
    gone = []
    for point in points:
        gone += point["removed"]
        assert len(gone) == 12 * point["heads_removed"]
        assert point["scores"] == _cut_scores(make_model(), gone, context)
    assert gone == next_heads(state.importance, [], count=12)
    assert len({point["scores"]["loss"] for point in points}) == 5
    assert after.model is state.model
    assert after.importance is state.importance
    assert not Curve.changes_model


def test_the_curve_leaves_every_layer_its_most_important_heads(make_model, make_context):
    """Of an uneven model with 0, 3 and 4 heads, all but one of each layer go, and no layer gets one back."""
    importance = _random_importance(0, 3, 4, units=(48, 0, 5))
    state = State(model=make_model(uneven=True), importance=importance)
    points = Curve(step=0.1, until=0.9, min_heads_per_layer=1, batch_size=8).run(state, make_context()).details["curve"]
    gone = [head for point in points for head in point["removed"]]
    best = [[layer, int(importance.heads[layer].argmax())] for layer in (1, 2)]
    assert sorted([*gone, *best]) == [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2], [2, 3]]
    assert [point["heads_removed"] for point in points] == [count / 7 for count in range(6)]


def test_a_model_without_heads_has_one_point(make_model, make_context):
    gates = PerGate(heads=(torch.zeros(4),) * 3, units=(torch.ones(48),) * 3)
    state = State(model=shrink(make_model(), gates), importance=_random_importance(0, 0, 0))
    for after in (Rank().run(state, make_context()), state):
        points = Curve(batch_size=8).run(after, make_context(name=f"{id(after)}")).details["curve"]
        assert [point["heads_removed"] for point in points] == [0]
    assert BestHead().run(state, make_context()).details["best_head"] == []


def test_scoring_again_is_done_under_gates_and_decides_what_goes(make_model, make_context, monkeypatch):
    """Closed heads have no gain left; of the others the least important by the new score goes next."""
    found: list[PerGate] = []
    plain = Gain.run
    monkeypatch.setattr(Gain, "run", lambda *given: found.append(plain(*given).importance) or plain(*given))
    state = State(model=make_model(), importance=_random_importance(4, 4, 4))
    step, context = Curve(step=0.25, until=0.75, rescore=True, batch_size=8, examples=8), make_context()
    after = step.run(state, context)
    points = after.details["curve"]
    gone = [*points[1]["removed"]]
    assert gone == next_heads(state.importance, [], count=3)
    assert len(found) == 2
    for importance, point in zip(found, points[2:], strict=True):
        assert [importance.heads[layer][head].item() for layer, head in gone] == [0.0] * len(gone)
        left = {
            (layer, head): score
            for layer, score_H in enumerate(importance.heads)
            for head, score in enumerate(normalized(score_H).tolist())
            if [layer, head] not in gone
        }
        assert point["removed"] == [list(head) for head in sorted(left, key=left.__getitem__)[:3]]
        gone += point["removed"]
    assert step.examples_seen(context) == 2 * 8
    # What is removed in the end are the heads that the curve says, at every amount.
    for count in (3, 5, 9):
        gates = Threshold(sparsity=None, heads=count / 12).run(after, context).gates
        assert _closed(gates) == sorted(gone[:count])


def test_each_layer_is_left_its_most_important_head(make_model, make_context):
    context = make_context()
    importance = _random_importance(0, 3, 4, units=(48, 0, 5))
    details = BestHead().run(State(model=make_model(uneven=True), importance=importance), context).details
    rows = details["best_head"]
    assert details["whole"] == _cut_scores(make_model(uneven=True), [], context)
    best = {layer: int(importance.heads[layer].argmax()) for layer in (1, 2)}
    assert {row["layer"]: row["head"] for row in rows} == best
    for row in rows:
        others = [[row["layer"], head] for head in range(len(importance.heads[row["layer"]])) if head != row["head"]]
        assert row["scores"] == _cut_scores(make_model(uneven=True), others, context)
    assert rows[0]["scores"] != rows[1]["scores"]


@pytest.mark.parametrize(
    ("step", "total"),
    [
        (Curve(step=0.25, until=1.0, batch_size=8), 5),
        (Curve(step=0.25, until=0.75, rescore=True, batch_size=8, examples=8), 4),
        (BestHead(), 4),
    ],
    ids=["curve", "rescored", "best_head"],
)
def test_goes_on_after_what_is_already_scored(make_model, make_context, step, total):
    """Killed while it scores the third point: points, importance and examples are as if it had not been."""
    state = State(model=make_model(), importance=_random_importance(4, 4, 4))
    context = make_context(name="whole")
    whole = step.run(state, context)
    calls: list[int] = []
    with pytest.raises(Killed):
        step.run(state, _killing(make_context(name="killed"), calls, at=3))
    assert not list(make_context(name="killed").folder.glob("*.partial"))
    resumed = step.run(state, _killing(make_context(name="killed"), calls, at=math.inf))
    assert len(calls) == total + 1
    assert resumed.details == whole.details
    assert all(map(torch.equal, resumed.importance.heads, whole.importance.heads))
    assert step.examples_seen(context) == step.examples_seen(make_context(name="killed"))


@pytest.mark.parametrize("step", [Curve(batch_size=8), BestHead()], ids=["curve", "best_head"])
def test_only_the_leader_scores(make_model, make_context, monkeypatch, step):
    monkeypatch.setenv("RANK", "1")
    state = State(model=make_model(), importance=_random_importance(4, 4, 4))
    assert step.run(state, _killing(make_context(), [], at=1)) is state


def test_record_tells_the_curve_and_it_ends_in_the_model(tmp_path: Path):
    """Also in the opposite order, where the best head must still be the most important one."""
    record, folder = run("method=heads", "sparsity=0.3", "method.ranking=descending", "model.epochs=1", output=tmp_path)
    details = {name: value for step in record.steps for name, value in step.details.items()}
    assert details["curve"][0]["scores"] == pytest.approx(record.reference.scores)
    at_sparsity = next(point for point in details["curve"] if point["heads_removed"] >= 0.3)
    assert at_sparsity["heads_removed"] == pytest.approx(record.compressed.structure.heads_removed)
    assert at_sparsity["scores"] == pytest.approx(record.compressed.scores, abs=1e-3)
    importance = PerGate.load(folder / "steps" / "00-score" / "importance.safetensors")
    assert [row["head"] for row in details["best_head"]] == [int(score_H.argmax()) for score_H in importance.heads]
    first = details["curve"][1]["removed"]
    assert first == next_heads(ranked(importance, ranking="descending", seed=0), [], count=len(first))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rank(ranking="up"), r"ranking=up: must be one of ascending, random, descending"),
        (lambda: Curve(batch_size=8, ranking="up"), r"ranking=up: must be one of"),
        (lambda: Curve(batch_size=8, step=0), r"step=0: must lie in \(0, 1\]"),
        (lambda: Curve(batch_size=8, step=1.1), r"step=1\.1: must lie in \(0, 1\]"),
        (lambda: Curve(batch_size=8, until=-0.1), r"until=-0\.1: must lie in \[0, 1\]"),
        (lambda: Curve(batch_size=8, until=1.5), r"until=1\.5: must lie in \[0, 1\]"),
        (lambda: Curve(batch_size=8, min_heads_per_layer=-1), r"min_heads_per_layer=-1: must be 0 or more"),
        (lambda: Curve(batch_size=0), r"batch_size=0: must be at least 1"),
        (lambda: Curve(batch_size=8, rescore=True, ranking="random"), r"rescore=True: has no effect on ranking=random"),
    ],
)
def test_refuses_bad_settings_in_one_line(make: Callable[[], object], message: str):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        make()


def _killing(context: Context, calls: list[int], *, at: float) -> Context:
    """A context whose scoring counts its calls, and dies on one of them."""

    def scores(model, *, split="test"):
        calls.append(1)
        if len(calls) == at:
            raise Killed
        return context.scores(model, split=split)

    return dataclasses.replace(context, scores=scores)


def _cut_scores(model, gone, context):
    """What surgery leaves scores, which may differ in the last bits of a logit."""
    heads, units = structure_sizes(model)
    ones = PerGate(heads=tuple(map(torch.ones, heads)), units=tuple(map(torch.ones, units)))
    return pytest.approx(context.scores(shrink(model, gates_without(gone, ones))), abs=1e-4)


def _importance(*heads):
    return PerGate(heads=tuple(_scores(*layer) for layer in heads), units=tuple(torch.rand(5) for _ in heads))


def _random_importance(*heads: int, units: tuple[int, ...] = (48, 48, 48)) -> PerGate:
    generator = torch.Generator().manual_seed(3)
    drawn = [[torch.rand(count, generator=generator) for count in counts] for counts in (heads, units)]
    return PerGate(heads=tuple(drawn[0]), units=tuple(drawn[1]))


def _closed(gates: PerGate) -> list[list[int]]:
    return [
        [layer, head] for layer, gate in enumerate(gates.heads) for head in (gate == 0).nonzero().flatten().tolist()
    ]


def _scores(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)
