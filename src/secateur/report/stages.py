"""Models that were compressed once, on text, and then fine-tuned on several tasks: both stages in one row.

Stage 2 is a run of ``method=finetune`` whose ``model.checkpoint`` is the model of another run, which is stage 1. What a
row says about stage 1 comes from its record or, if that was not read, from the run's name, which contains less.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from secateur.record import ModelFigures, Record
from secateur.report.rows import DENSE, Stat, differences, model_name, settings_of, stat_of

FINETUNE = "finetune"
TEXT_SCORES = ("mlm_accuracy", "nsp_accuracy")
_RUN_NAME = re.compile(r"([\w.]+)-([\w.]+)-([\w.]+)(?:-s([\d.]+(?:e-\d+)?))?-seed-?\d+-\w+")


@dataclass(frozen=True, kw_only=True)
class TaskCell:
    """The result of fine-tuning on one task: ``kept`` is a fraction of the dense model's score."""

    score: Stat
    kept: Stat | None


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """Runs of stage 1 that differ only in their seed, or (``method`` is ``dense``) their references, on all tasks.

    Attributes:
        model, text: those of stage 1; ``text`` is the data set that it was compressed on.
        method, sparsity: those of stage 1.
        distillation: that of stage 1; empty if unknown.
        differs: the settings of either stage, as ``dotted.key=value``, in which look-alikes differ.
        zeroed, removed: mean fractions of the encoder's weights zeroed or removed, in the models of stage 2.
        text_scores: those of ``TEXT_SCORES`` that are known, in percent.
        tasks: the results on each task, by data set.
    """

    model: str
    text: str
    method: str
    distillation: str = ""
    sparsity: float | None = None
    differs: tuple[str, ...] = ()
    zeroed: Stat | None = None
    removed: Stat | None = None
    text_scores: dict[str, Stat] = field(default_factory=dict)
    tasks: dict[str, TaskCell] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A run of stage 2, and what is known about its stage 1; ``first`` is None if the record was not read."""

    second: Record
    parent: str
    first: Record | None
    asked: dict[str, Any]
    first_differs: tuple[str, ...] = ()
    second_differs: tuple[str, ...] = ()

    @property
    def text(self) -> tuple[str, str]:
        return self.asked["model"], self.asked["text"]

    @property
    def differs(self) -> tuple[str, ...]:
        return self.first_differs + self.second_differs


def stage_rows(records: Iterable[Record]) -> list[StageRow]:
    """The rows of all finished two-stage runs: for each model and text the dense ones, then by method and sparsity."""
    pairs = _labelled(_pairs(records))
    dense = _by(pairs, lambda pair: (pair.text, pair.second_differs))
    compressed = _by(pairs, lambda pair: (*pair.asked.values(), pair.differs))
    return sorted([*map(_dense_row, dense), *map(_compressed_row, compressed)], key=_order)


def _pairs(records: Iterable[Record]) -> list[_Pair]:
    by_name = {record.name: record for record in records if record.status == "finished"}
    pairs = [pair for record in by_name.values() if (pair := _pair(record, by_name)) is not None]
    # Fine-tuning uses the predecessor's seed, not `seed`: runs that differ only in `seed` are the same model.
    return list({_model_of(pair): pair for pair in pairs}.values())


def _model_of(pair: _Pair) -> Hashable:
    """What determines the model of stage 2."""
    settings = json.dumps(_second_settings(pair), sort_keys=True, default=str)
    return pair.parent, pair.second.dataset, pair.second.predecessor_seed, settings


def _pair(record: Record, by_name: Mapping[str, Record]) -> _Pair | None:
    checkpoint = (record.config.get("model") or {}).get("checkpoint")
    parent = Path(checkpoint).parent.name if checkpoint else ""
    if record.method != FINETUNE or parent not in record.parents or record.compressed is None:
        return None
    if first := by_name.get(parent):
        asked = {name: getattr(first, name) for name in ("model", "method", "distillation", "sparsity")}
        return _Pair(second=record, parent=parent, first=first, asked=asked | {"text": first.dataset})
    if match := _RUN_NAME.fullmatch(parent):
        method, model, text, sparsity = match.groups()
        asked = {
            "model": model,
            "method": method,
            "distillation": "",
            "sparsity": float(sparsity) if sparsity else None,
        }
        return _Pair(second=record, parent=parent, first=None, asked=asked | {"text": text})
    return None


def _labelled(pairs: Sequence[_Pair]) -> list[_Pair]:
    """The pairs with the settings in which stage 1 differs among look-alikes, and stage 2 among runs on one task."""
    pairs = _marked(pairs, "first_differs", _first_settings, alike=lambda pair: tuple(pair.asked.values()))
    return _marked(pairs, "second_differs", _second_settings, alike=lambda pair: (pair.text, pair.second.dataset))


def _marked(
    pairs: Sequence[_Pair],
    name: str,
    settings: Callable[[_Pair], Mapping[str, Any]],
    *,
    alike: Callable[[_Pair], Hashable],
) -> list[_Pair]:
    marked = []
    for members in _by(pairs, alike):
        for pair, differs in zip(members, differences([settings(pair) for pair in members]), strict=True):
            change: dict[str, Any] = {name: differs}
            marked.append(replace(pair, **change))
    return marked


def _first_settings(pair: _Pair) -> Mapping[str, Any]:
    """The settings of stage 1; without its record, only the resulting sparsity distinguishes patterns or γ."""
    if pair.first is not None:
        return settings_of(pair.first)
    assert pair.second.compressed is not None
    return {"zeroed": round(pair.second.compressed.structure.zeroed, 2)}


def _second_settings(pair: _Pair) -> Mapping[str, Any]:
    """The settings of stage 2, without the path of stage 1's model."""
    settings = settings_of(pair.second)
    model = {name: value for name, value in settings["model"].items() if name != "checkpoint"}
    return settings | {"model": model}


def _dense_row(pairs: Sequence[_Pair]) -> StageRow:
    model, text = pairs[0].text
    tasks = {}
    for members in _by(pairs, lambda pair: pair.second.dataset):
        record = members[0].second
        references = _references(pair.second for pair in members)
        if scores := stat_of([each.scores[record.metric] for each in references if record.metric in each.scores]):
            tasks[record.dataset] = TaskCell(score=scores, kept=Stat(1.0, None, 1))
    before = _references(pair.first for pair in pairs if pair.first is not None)
    return StageRow(
        model=model,
        text=text,
        method=DENSE,
        differs=pairs[0].second_differs,
        text_scores=_text_scores(before),
        tasks=tasks,
    )


def _compressed_row(pairs: Sequence[_Pair]) -> StageRow:
    tasks = {}
    for members in _by(pairs, lambda pair: pair.second.dataset):
        records = [pair.second for pair in members]
        scores = stat_of(
            [r.compressed.scores[r.metric] for r in records if r.compressed and r.metric in r.compressed.scores]
        )
        if scores:
            kept = stat_of([record.retention for record in records if record.retention is not None])
            tasks[records[0].dataset] = TaskCell(score=scores, kept=kept)
    firsts = {pair.parent: pair.first.compressed for pair in pairs if pair.first and pair.first.compressed}
    structures = {pair.parent: pair.second.compressed.structure for pair in pairs if pair.second.compressed}.values()
    return StageRow(
        **pairs[0].asked,
        differs=pairs[0].differs,
        zeroed=stat_of([each.zeroed for each in structures]),
        removed=stat_of([each.removed for each in structures]),
        text_scores=_text_scores(firsts.values()),
        tasks=tasks,
    )


def _text_scores(models: Iterable[ModelFigures]) -> dict[str, Stat]:
    scores = [model.scores for model in models]
    stats = {name: stat_of([each[name] for each in scores if name in each]) for name in TEXT_SCORES}
    return {name: stat for name, stat in stats.items() if stat is not None}


def _references(records: Iterable[Record]) -> list[ModelFigures]:
    """Each dense model once, however many records refer to it."""
    return list({model_name(r.reference): r.reference for r in records if r.reference is not None}.values())


def _by(pairs: Iterable[_Pair], key: Callable[[_Pair], Hashable]) -> list[list[_Pair]]:
    groups: dict[Hashable, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        groups[key(pair)].append(pair)
    return list(groups.values())


def _order(row: StageRow) -> tuple:
    asked = -1.0 if row.sparsity is None else row.sparsity
    return row.model, row.text, row.method != DENSE, row.method, asked, row.distillation, row.differs
