"""Rows of a table: runs that differ only in their seed form one row, with the mean and spread of every figure."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from secateur.record import FEW_ZEROS, ModelFigures, Record, Runtime

DENSE = "dense"
FRACTIONS = (
    *("removed", "zeroed", "zeroed_total"),
    *("heads_removed", "units_removed", "layers_removed", "layers_decomposed"),
)
GONE = "gone"
"""The fraction of the weights in the matrices of the encoder's layers that is removed or zero."""
SIZES = ("parameters", "encoder_parameters", "flops", "disk_bytes", "sparse_bytes")

# Where a run was stored or logged, and how often it was tried, does not affect its result.
_IGNORED = frozenset({"seed", "sweep", "paths", "logger", "callbacks", "hydra", "force", "retry"})


class Stat(NamedTuple):
    """Mean and sample standard deviation of ``n`` readings; ``std`` is None if there is only one."""

    mean: float
    std: float | None
    n: int


class Setting(NamedTuple):
    """The setting at which a latency was measured; ``length`` in tokens."""

    dtype: str
    batch_size: int
    length: int
    runtime: Runtime = "pytorch"

    def __str__(self) -> str:
        place = "" if self.runtime == "pytorch" else "ONNX Runtime, "
        return f"{place}{self.dtype}, {self.batch_size} x {self.length} tokens"

    @property
    def rank(self) -> tuple:
        """A sort key: PyTorch first, then float32 first."""
        return self.runtime != "pytorch", self.dtype != "float32", self.batch_size, self.length


class Timing(NamedTuple):
    """The speed-up over the reference, and milliseconds per batch (median and 90th percentile)."""

    speedup: Stat
    p50: Stat
    p90: Stat


@dataclass(frozen=True, kw_only=True)
class Row:
    """Runs that differ only in their seed, or (``method`` is ``dense``) one reference.

    ``figures`` contains ``retention`` (a fraction of the reference's score), those of ``FRACTIONS`` and those of
    ``SIZES`` (FLOPs of one forward pass over ``flops_length`` tokens); what was not measured is missing.
    ``documents_kept`` means that times and FLOPs are those of a question about documents whose states are kept.
    ``differs`` lists the settings, as ``dotted.key=value``, in which this row differs from others with the same
    method, model, data set, distillation and sparsity. ``records`` are those of its runs.
    """

    method: str
    model: str
    dataset: str
    distillation: str
    sparsity: float | None
    predecessor_seed: int | None
    metric: str
    n: int
    scores: dict[str, Stat]
    figures: dict[str, Stat]
    flops_length: int | None
    timings: dict[Setting, Timing]
    devices: tuple[str, ...]
    beside_others: bool
    documents_kept: bool
    settings: dict[str, Any] = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)
    differs: tuple[str, ...] = ()

    @property
    def dense(self) -> bool:
        """Whether this is a reference."""
        return self.method == DENSE

    @property
    def score(self) -> Stat | None:
        """The score in the task's own metric."""
        return self.scores.get(self.metric)

    @property
    def is_sparse(self) -> bool:
        """Whether the encoder has enough zeros for a table to show them; every model has a few."""
        return "zeroed" in self.figures and self.figures["zeroed"].mean >= FEW_ZEROS

    @property
    def headline(self) -> Setting | None:
        """PyTorch in float32 at the largest batch and length that most of the row's runs were timed at."""
        candidates = [s for s in self.timings if s.runtime == "pytorch" and s.dtype == "float32"]
        return max(candidates, key=lambda s: (self.timings[s].speedup.n, *s[1:]), default=None)

    @property
    def speedup(self) -> Stat | None:
        """The speed-up over the reference at the headline setting."""
        return self.timings[self.headline].speedup if self.headline else None

    @property
    def onnx(self) -> Timing | None:
        """The timing at the headline setting in ONNX Runtime, relative to the reference in ONNX Runtime."""
        return self.timings.get(self.headline._replace(runtime="onnxruntime")) if self.headline else None


def group(records: Iterable[Record]) -> list[Row]:
    """The rows of a table of the finished ``records``.

    Returns:
        For each model and data set in name order: its references, then its runs by method and sparsity. If each
        predecessor was trained with the run's own seed, ``predecessor_seed`` is None and the spread covers both.
    """
    finished = [record for record in records if record.status == "finished"]
    rows = _labelled([*_dense_rows(finished), *_compressed_rows(finished)])
    return sorted(rows, key=_order)


def differences(settings: Sequence[Mapping[str, Any]], *, prefix: str = "") -> list[tuple[str, ...]]:
    """For each of the nested settings, the dotted keys in which they differ, as ``key=value``.

    A mapping that only some have is listed once, as ``key=absent`` where it is missing, and not leaf by leaf.
    """
    if len(settings) < 2:  # the case for most rows of a large sweep, whose configs need not be traversed
        return [() for _ in settings]
    labels: list[list[str]] = [[] for _ in settings]
    for key in dict.fromkeys(key for each in settings for key in each):
        values = [each.get(key, "absent") for each in settings]
        nested = [index for index, value in enumerate(values) if isinstance(value, Mapping)]
        plain = [index for index, value in enumerate(values) if not isinstance(value, Mapping)]
        if nested or len({repr(values[index]) for index in plain}) > 1:
            for index in plain:
                labels[index].append(f"{prefix}{key}={_as_text(values[index])}")
        inner = differences([values[index] for index in nested], prefix=f"{prefix}{key}.") if nested else []
        for index, found in zip(nested, inner, strict=True):
            labels[index].extend(found)
    return [tuple(label) for label in labels]


def stat_of(readings: Sequence[float]) -> Stat | None:
    """Mean and spread of readings; None if there are none."""
    n = len(readings)
    if n < 2:
        return _one(readings)
    # statistics.stdev computes with fractions, which takes 300 times as long: half a minute for 10,000 runs' figures.
    mean = math.fsum(readings) / n
    return Stat(mean, math.sqrt(math.fsum([(reading - mean) ** 2 for reading in readings]) / (n - 1)), n)


def _one(readings: Sequence[float]) -> Stat | None:
    """The figure of a single model, such as a reference that many records share, without a spread over seeds."""
    return Stat(math.fsum(readings) / len(readings), None, 1) if readings else None


def _compressed_rows(records: Sequence[Record]) -> Iterable[Row]:
    alike: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        names = (record.method, record.model, record.dataset, record.distillation, record.sparsity)
        alike[json.dumps([names, settings_of(record)], sort_keys=True, default=str)].append(record)
    for members in alike.values():
        for seed, same in _by_predecessor_seed(members).items():
            yield _compressed_row(same, seed)


def _by_predecessor_seed(records: Sequence[Record]) -> dict[int | None, list[Record]]:
    if len({r.seed for r in records}) > 1 and all(r.predecessor_seed == r.seed for r in records):
        return {None: list(records)}
    by_seed: dict[int | None, list[Record]] = defaultdict(list)
    for record in records:
        by_seed[record.predecessor_seed].append(record)
    return by_seed


def settings_of(record: Record) -> dict[str, Any]:
    """The config values that determine a run, without seeds, and the fingerprint of its data."""
    config = {key: value for key, value in record.config.items() if key not in _IGNORED}
    predecessor = {key: value for key, value in (config.get("predecessor") or {}).items() if key != "seed"}
    return config | {"predecessor": predecessor, "fingerprint": record.fingerprint}


def _compressed_row(records: Sequence[Record], predecessor_seed: int | None) -> Row:
    first = records[0]
    settings = settings_of(first)
    settings["predecessor"]["seed"] = "${seed}" if predecessor_seed is None else predecessor_seed
    asked = {key: getattr(first, key) for key in ("method", "distillation", "sparsity")}
    row = _row(records, "compressed", stat_of, predecessor_seed=predecessor_seed, settings=settings, asked=asked)
    retention = stat_of([record.retention for record in records if record.retention is not None])
    return replace(row, figures=_measured({"retention": retention}) | row.figures)


def _dense_rows(records: Sequence[Record]) -> Iterable[Row]:
    alike: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.reference is not None:
            alike[model_name(record.reference), record.dataset, record.fingerprint].append(record)
    for (name, _, fingerprint), same in alike.items():
        seed = same[0].predecessor_seed
        settings: dict[str, Any] = {
            "predecessor": {"seed": seed},
            "reference": name,
        }
        settings["fingerprint"] = fingerprint
        asked = {"method": DENSE, "distillation": "", "sparsity": None}
        row = _row(same, "reference", _one, predecessor_seed=seed, settings=settings, asked=asked)
        yield replace(row, figures={"retention": Stat(1.0, None, 1)} | row.figures)


def model_name(model: ModelFigures) -> str:
    """The last two parts of its folder's path, which do not depend on where the record is stored."""
    return "/".join(Path(model.folder).parts[-2:])


def _row(records: Sequence[Record], side: str, stat: Callable, *, asked: Mapping[str, Any], **known: Any) -> Row:
    models = [model for record in records if (model := getattr(record, side)) is not None]
    latencies = [record.latency for record in records if record.latency is not None]
    sizes, flops_length = _sizes(models, stat)
    fractions = {name: stat([getattr(m.structure, name) for m in models]) for name in FRACTIONS if models}
    if models:
        fractions[GONE] = stat([m.structure.removed + m.structure.zeroed for m in models])
    names = dict.fromkeys(name for model in models for name in model.scores)
    return Row(
        model=records[0].model,
        dataset=records[0].dataset,
        metric=records[0].metric,
        n=1 if side == "reference" else len(records),
        scores={name: stat([m.scores[name] for m in models if name in m.scores]) for name in names},
        figures=fractions | sizes,
        flops_length=flops_length,
        timings=_timings(records, side, stat),
        devices=tuple(sorted({f"{each.device}, threads: {each.threads}" for each in latencies})),
        beside_others=any(each.beside_others for each in latencies),
        documents_kept=any(model.cost is not None and model.cost.cached_flops != {} for model in models),
        records=tuple(records),
        **asked,
        **known,
    )


def _sizes(models: Sequence[ModelFigures], stat: Callable) -> tuple[dict[str, Stat], int | None]:
    costs = [model.cost for model in models if model.cost is not None]
    counts = {name: stat([size for c in costs if (size := getattr(c, name))]) for name in SIZES if name != "flops"}
    measured = [set(cost.served_flops) for cost in costs if cost.flops]
    length = max(set.intersection(*measured) if measured else (), default=None)
    counts["flops"] = stat([cost.served_flops[length] for cost in costs if length in cost.served_flops])
    return _measured(counts), length


def _timings(records: Sequence[Record], side: str, stat: Callable) -> dict[Setting, Timing]:
    pairs = defaultdict(list)
    for record in records:
        for pair in record.latency.pairs if record.latency else ():
            if pair.reference.p50 > 0 and pair.served.p50 > 0:
                times = pair.reference if side == "reference" else pair.served
                readings = (pair.reference.p50 / times.p50, times.p50, times.p90)
                pairs[Setting(pair.dtype, pair.batch_size, pair.length, pair.runtime)].append(readings)
    order = sorted(pairs, key=lambda setting: setting.rank)
    return {setting: Timing(*map(stat, zip(*pairs[setting], strict=True))) for setting in order}


def _measured(stats: Mapping[str, Stat | None]) -> dict[str, Stat]:
    return {name: stat for name, stat in stats.items() if stat is not None}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _labelled(rows: Sequence[Row]) -> list[Row]:
    look_alikes: dict[tuple, list[Row]] = defaultdict(list)
    predecessors = defaultdict(set)
    for row in rows:
        look_alikes[row.method, row.model, row.dataset, row.distillation, row.sparsity].append(row)
        predecessors[row.model, row.dataset].add(None if row.dense else row.settings["predecessor"]["seed"])
    labelled = []
    for alike in look_alikes.values():
        for row, differs in zip(alike, differences([row.settings for row in alike]), strict=True):
            # A table with several predecessor seeds names them, even for rows without look-alikes.
            several = not row.dense and len(predecessors[row.model, row.dataset] - {None}) > 1
            seed = [f"predecessor.seed={row.settings['predecessor']['seed']}"] if several else []
            labelled.append(replace(row, differs=tuple(dict.fromkeys(seed + list(differs)))))
    return labelled


def _order(row: Row) -> tuple:
    asked = -1.0 if row.sparsity is None else row.sparsity
    return row.model, row.dataset, not row.dense, row.method, asked, row.distillation, row.differs
