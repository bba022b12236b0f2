"""Figures that a record has once, and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from secateur.record import Record


def middle_minus_ends(kind: str) -> Callable[[Record], float | None]:
    """The mean share of heads or units kept in the middle layers, less that in the first and the last."""

    def figure(record: Record) -> float | None:
        kept = _kept(record, kind)
        if len(kept) < 3:
            return None
        middle, ends = kept[1:-1], [kept[0], kept[-1]]
        return sum(middle) / len(middle) - sum(ends) / len(ends)

    return figure


def at_batch(size: int, *, less: int | None = None) -> Callable[[Record], float | None]:
    """How much faster than the reference at a batch size, 0 for as fast; ``less`` what it is at another."""

    def figure(record: Record) -> float | None:
        sizes = (size,) if less is None else (size, less)
        gains = [gain for each in sizes if (gain := _gain(record, each)) is not None]
        if len(gains) < len(sizes):
            return None
        return gains[0] - sum(gains[1:])

    return figure


def at_most(limit: float, of: Callable[[Record], float | None]) -> Callable[[Record], float | None]:
    """What is left up to a limit that a figure should not exceed."""

    def figure(record: Record) -> float | None:
        found = of(record)
        return None if found is None else limit - found

    return figure


def curve_table(records: Sequence[Record]) -> str:
    """What is scored as heads go, for each order; empty without a curve."""
    curves = {
        (record.config["method"]["ranking"], record.seed): step.details["curve"]
        for record in records
        for step in record.steps
        if "curve" in step.details
    }
    if not curves:
        return ""
    shares = [point["heads_removed"] for point in next(iter(curves.values()))]
    lines = [
        "## F1 as heads go",
        "",
        "| heads removed | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |",
        "|---" * (len(shares) + 1) + "|",
    ]
    for (ranking, seed), points in sorted(curves.items()):
        scores = " | ".join(f"{point['scores']['f1']:.1f}" for point in points)
        lines.append(f"| {ranking}, seed {seed} | {scores} |")
    return "\n".join(lines)


def layers_table(records: Sequence[Record]) -> str:
    """Which share of its heads or units every layer keeps in L0's runs on one of them alone; empty without any."""
    lines = []
    for record in records:
        for kind in ("heads", "units"):
            asked = record.config["method"].get(kind)
            if record.method == "l0" and asked is not None:
                kept = ", ".join(f"{share:.2f}" for share in _kept(record, kind))
                lines.append(f"| {record.dataset} | {kind} | {asked:g} | {record.seed} | {kept} |")
    if not lines:
        return ""
    head = [
        "| data set | of | removed | seed | share kept, from the first layer to the last |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(["## What L0 keeps in each layer", "", *head, *sorted(lines)])


def _kept(record: Record, kind: str) -> list[float]:
    if record.compressed is None or record.reference is None:
        return []
    sizes = (getattr(model.structure, kind) for model in (record.compressed, record.reference))
    return [left / before for left, before in zip(*sizes, strict=True) if before]


def _gain(record: Record, batch_size: int) -> float | None:
    """Speed-up less 1 in PyTorch and float32, at the greatest length that was timed."""
    pairs = record.latency.pairs if record.latency else []
    timed = {
        pair.length: pair.speedup - 1
        for pair in pairs
        if (pair.runtime, pair.dtype, pair.batch_size) == ("pytorch", "float32", batch_size)
    }
    return timed[max(timed)] if timed else None
