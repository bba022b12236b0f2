"""Figures that each record has once."""

from __future__ import annotations

from collections.abc import Callable

from secateur.record import LatencyPair, Record


def middle_minus_ends(kind: str) -> Callable[[Record], float | None]:
    """The mean share of heads or units kept in the middle layers, minus that in the first and the last."""

    def figure(record: Record) -> float | None:
        kept = shares_kept(record, kind)
        if len(kept) < 3:
            return None
        middle, ends = kept[1:-1], [kept[0], kept[-1]]
        return sum(middle) / len(middle) - sum(ends) / len(ends)

    return figure


def at_batch(size: int, *, less: int | None = None) -> Callable[[Record], float | None]:
    """Speed-up minus 1 at a batch size, so 0 for equal speed; minus the same at batch size ``less``, if given."""

    def figure(record: Record) -> float | None:
        sizes = (size,) if less is None else (size, less)
        gains = [gain for each in sizes if (gain := gain_at(record, each)) is not None]
        if len(gains) < len(sizes):
            return None
        return gains[0] - sum(gains[1:])

    return figure


def at_most(limit: float, of: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """A limit minus the figure that should not exceed it."""

    def figure(record: Record) -> float | None:
        found = of(record)
        return None if found is None else limit - found

    return figure


def above(limit: float, of: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """A figure minus the limit that it should exceed."""

    def figure(record: Record) -> float | None:
        found = of(record)
        return None if found is None else found - limit

    return figure


def first_module_costs(record: Record) -> float | None:
    """Points that replacing only the first module costs, minus those of the costliest of the others."""
    alone = [score for replaced, score in mixed_scores(record).items() if len(replaced) == 1]
    return min(alone[1:]) - alone[0] if len(alone) > 1 else None


def mixed_scores(record: Record) -> dict[tuple[int, ...], float]:
    """The scores with some modules replaced and the others the predecessor's, by the replaced indices from 0."""
    mixes = next((step.details["mixes"] for step in record.steps if "mixes" in step.details), [])
    return {tuple(mix["replaced"]): mix["scores"][record.metric] for mix in mixes}


def shares_kept(record: Record, kind: str) -> list[float]:
    """The share of its heads or units that each layer keeps."""
    if record.compressed is None or record.reference is None:
        return []
    sizes = (getattr(model.structure, kind) for model in (record.compressed, record.reference))
    return [left / before for left, before in zip(*sizes, strict=True) if before]


def gain_at(record: Record, batch_size: int) -> float | None:
    """Speed-up minus 1 in PyTorch and float32 without kept documents, at the greatest timed length."""
    timed = {pair.length: pair.reference.p50 / pair.compressed.p50 - 1 for pair in timings(record, batch_size)}
    return timed[max(timed)] if timed else None


def timings(record: Record, batch_size: int) -> list[LatencyPair]:
    """The timings in PyTorch and float32 at this batch size, for every length."""
    pairs = record.latency.pairs if record.latency else []
    return [pair for pair in pairs if (pair.runtime, pair.dtype, pair.batch_size) == ("pytorch", "float32", batch_size)]


def step_detail(name: str) -> Callable[[Record], float | None]:
    """A figure from the details of one of the run's steps."""

    def figure(record: Record) -> float | None:
        return next((step.details[name] for step in record.steps if name in step.details), None)

    return figure


def cached_share_of_promise(batch_size: int) -> Callable[[Record], float | None]:
    """The speed-up in float32 with documents kept, as a share of the ratio of FLOPs, at the greatest timed length."""

    def figure(record: Record) -> float | None:
        costs = [model.cost for model in (record.reference, record.compressed) if model and model.cost]
        timed = {pair.length: pair.speedup for pair in timings(record, batch_size) if pair.cached}
        if len(costs) < 2 or not timed:
            return None
        longest = max(timed)
        return timed[longest] * costs[1].cached_flops[longest] / costs[0].flops[longest]

    return figure
