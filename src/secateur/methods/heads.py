"""Removing attention heads at test time, without any training (Michel, Levy, Neubig, arXiv 1905.10650).

The importance of a head is its gain (:mod:`secateur.methods.gain`; section 4.1 of the paper). To make layers
comparable, the gains of each layer are divided by their l2 norm; then the heads of all layers are ranked together.
Heads are closed by gates, which is equivalent to removal, so nothing is cut before the end.

Shapes: H heads of a layer.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from secateur.disk import write_whole
from secateur.distributed import is_leader
from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.methods.gain import Gain
from secateur.methods.rounding import rounded_up
from secateur.methods.threshold import removal_order
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated

log = logging.getLogger(__name__)

RANKINGS = ("ascending", "random", "descending")
CURVE, BEST_HEAD = "curve.json", "best_head.json"

Head = list[int]  # layer and index in it, both from 0, as in the record's JSON


class Rank(Step):
    """Make the importance of heads comparable across layers, and set the order in which they are removed.

    Args:
        ranking: "ascending" removes the least important heads first, "descending" the most important, "random" any.
    """

    changes_model = False
    needs = gives = ("importance",)

    def __init__(self, *, ranking: str = "ascending", evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        _check_ranking(ranking)
        self.ranking = ranking

    def run(self, state: State, context: Context) -> State:
        """Rank the heads; the importance of units is not changed."""
        importance = ranked(_importance(state), ranking=self.ranking, seed=context.seed)
        return dataclasses.replace(state, importance=importance)


class Curve(Step):
    """Score the model with more and more heads closed; every point goes into the record.

    Args:
        batch_size, examples: for rescoring, as in :class:`Gain`.
        step: heads closed from one point to the next, as a fraction of the model's heads, in (0, 1].
        until: fraction of heads closed at the last point, in [0, 1].
        min_heads_per_layer: this many heads of every layer stay, those that would be removed last.
        rescore: compute the importance of the remaining heads again before each point except the first two; the
            resulting order is passed on.
        ranking: the order in which rescored heads are removed.
    """

    changes_model = False
    needs = gives = ("importance",)

    def __init__(
        self,
        *,
        batch_size: int,
        step: float = 0.1,
        until: float = 0.9,
        min_heads_per_layer: int = 0,
        rescore: bool = False,
        ranking: str = "ascending",
        examples: int | None = None,
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        _check_ranking(ranking)
        if not 0 < step <= 1:
            raise SecateurError(f"step={step}: must lie in (0, 1]: it is the fraction of heads removed at a time")
        if not 0 <= until <= 1:
            raise SecateurError(f"until={until}: must lie in [0, 1]")
        if min_heads_per_layer < 0:
            raise SecateurError(f"min_heads_per_layer={min_heads_per_layer}: must be 0 or more")
        if rescore and ranking == "random":
            raise SecateurError("rescore=True: has no effect on ranking=random; set rescore=false")
        self.step = step
        self.until = until
        self.min_heads_per_layer = min_heads_per_layer
        self.rescore = rescore
        self.ranking = ranking
        self.gain = Gain(batch_size=batch_size, examples=examples)

    def run(self, state: State, context: Context) -> State:
        """Score on ``test`` at every point, resuming where an interrupted process stopped."""
        importance = _importance(state)
        if not is_leader():  # the others would only compute the same scores again
            return state
        points = _read(context.folder / CURVE)
        gone: list[Head] = [head for point in points for head in point["removed"]]
        sizes, keep = [len(score_H) for score_H in importance.heads], self.min_heads_per_layer
        for count in curve_counts(sizes, step=self.step, until=self.until, keep=keep)[len(points) :]:
            if self.rescore and gone:
                importance = self._scored_again(state, context, gone)
            removed = next_heads(importance, gone, count=count, keep=keep)
            gone += removed
            scores = scores_without(gone, state, context)
            points.append({"heads_removed": count / max(sum(sizes), 1), "removed": removed, "scores": scores})
            write_whole(context.folder / CURVE, json.dumps(points))
            log.info("%d of %d heads removed: %.1f", count, sum(sizes), scores[context.task.metric])
        if self.rescore:
            state = dataclasses.replace(state, importance=gone_first(_importance(state), gone))
        return dataclasses.replace(state, details={"curve": points})

    def examples_seen(self, context: Context) -> int:
        """The examples of all rescoring passes."""
        passes = max(len(_read(context.folder / CURVE)) - 2, 0) if self.rescore else 0
        return passes * self.gain.examples_seen(context)

    def _scored_again(self, state: State, context: Context, gone: Sequence[Head]) -> PerGate:
        with gated(state.model, gates_without(gone, _importance(state))):
            scored = self.gain.run(state, context)
        return ranked(_importance(scored), ranking=self.ranking, seed=context.seed)


class BestHead(Step):
    """Score the model with only the most important head of one layer at a time, all other layers complete.

    Section 3.3 of the paper, where the best head is the one with the best score on held-out examples.
    """

    changes_model = False
    needs = gives = ("importance",)

    def run(self, state: State, context: Context) -> State:
        """Score on ``test`` for every layer that has heads, resuming where an interrupted process stopped."""
        importance = _importance(state)
        if not is_leader():
            return state
        rows = _read(context.folder / BEST_HEAD)  # the first row is for the complete model
        if not rows:
            rows.append({"scores": scores_without([], state, context)})
        for layer in [layer for layer, score_H in enumerate(importance.heads) if len(score_H)][len(rows) - 1 :]:
            score_H = importance.heads[layer]
            best = int(score_H.argmax())
            gone = [[layer, head] for head in range(len(score_H)) if head != best]
            scores = scores_without(gone, state, context)
            rows.append({"layer": layer, "head": best, "scores": scores})
            write_whole(context.folder / BEST_HEAD, json.dumps(rows))
            log.info("layer %d with head %d only: %.1f", layer, best, scores[context.task.metric])
        return dataclasses.replace(state, details={"whole": rows[0]["scores"], "best_head": rows[1:]})


def ranked(importance: PerGate, *, ranking: str, seed: int) -> PerGate:
    """Importance that makes heads go in the order given by ``ranking``; the importance of units is not changed."""
    if ranking == "random":
        generator = torch.Generator().manual_seed(seed)
        heads = tuple(torch.rand(len(score_H), generator=generator) for score_H in importance.heads)
    else:
        sign = -1 if ranking == "descending" else 1
        heads = tuple(sign * normalized(score_H) for score_H in importance.heads)
    return dataclasses.replace(importance, heads=heads)


def normalized(score_H: Tensor) -> Tensor:
    """A layer's importance (H,) divided by its l2 norm (section 4.1); all zeros stay zero."""
    norm = score_H.double().norm()  # squares of small gains would vanish in single precision
    return (score_H / norm).to(score_H.dtype) if norm > 0 else score_H


def curve_counts(sizes: Sequence[int], *, step: float, until: float, keep: int = 0) -> list[int]:
    """How many heads are removed at each point of a curve: 0 at the first, and more at each following point.

    Args:
        sizes: number of heads in each layer.
        step: fraction of heads removed from one point to the next.
        until: fraction of heads removed at the last point.
        keep: this many heads of every layer stay.
    """
    free = sum(max(size - keep, 0) for size in sizes)
    last = math.floor(until / step + 1e-6)  # 0.3 / 0.1 is a little below 3 in binary
    return sorted({min(rounded_up(point * step, sum(sizes)), free) for point in range(last + 1)})


def next_heads(importance: PerGate, gone: Sequence[Head], *, count: int, keep: int = 0) -> list[Head]:
    """The heads to remove next, in order, until ``count`` are removed, given those already ``gone``.

    Each layer keeps its ``keep`` most important heads; none of these may be in ``gone``.
    """
    names = [[layer, head] for layer, score_H in enumerate(importance.heads) for head in range(len(score_H))]
    order = removal_order(gone_first(importance, gone).heads, keep=keep)
    return [names[index] for index in order[len(gone) : count].tolist()]


def gone_first(importance: PerGate, gone: Sequence[Head]) -> PerGate:
    """Importance that makes the heads in ``gone`` go before all others, in their order."""
    heads = tuple(map(torch.clone, importance.heads))
    lowest = min([0.0, *(score_H.min().item() for score_H in heads if len(score_H))])
    for place, (layer, head) in enumerate(gone):
        heads[layer][head] = lowest - len(gone) + place
    return dataclasses.replace(importance, heads=heads)


def gates_without(gone: Sequence[Head], importance: PerGate) -> PerGate:
    """Gates that close only the heads in ``gone``, in the shapes of ``importance``."""
    heads, units = (tuple(map(torch.ones_like, scores)) for scores in (importance.heads, importance.units))
    for layer, head in gone:
        heads[layer][head] = 0.0
    return PerGate(heads=heads, units=units)


def scores_without(gone: Sequence[Head], state: State, context: Context) -> dict[str, float]:
    """The model's scores on ``test`` without these heads."""
    with gated(state.model, gates_without(gone, _importance(state))):
        return context.scores(state.model)


def _importance(state: State) -> PerGate:
    assert state.importance is not None
    return state.importance


def _check_ranking(ranking: str) -> None:
    if ranking not in RANKINGS:
        raise SecateurError(f"ranking={ranking}: must be one of {', '.join(RANKINGS)}")


def _read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
