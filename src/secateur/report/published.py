"""Published figures to show next to what was measured here, where the setting is the same (``published.yaml``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from secateur.report.reading import value_at
from secateur.report.rows import Row

_FILE = Path(__file__).with_name("published.yaml")
_WHOLE = {"dataset.limit_train": None, "dataset.limit_test": None}


@dataclass(frozen=True, kw_only=True)
class Published:
    """A paper's figures: ``score`` of its compressed model and ``dense`` of its dense one, in percent.

    ``speedup`` was measured on the paper's own hardware; ``statistic`` says how its figures summarise its runs.
    """

    method: str
    model: str
    dataset: str
    distillation: str
    metric: str
    settings: Mapping[str, Any]
    score: float
    dense: float
    speedup: float | None
    statistic: str
    source: str

    @property
    def retention(self) -> float:
        """The compressed model's score divided by the dense one's."""
        return self.score / self.dense


def published_of(row: Row) -> Published | None:
    """The figures published for the setting of a row; None if there are none."""
    names = (row.method, row.model, row.dataset, row.distillation, row.metric)
    return next((each for each in _entries().get(names, ()) if _same_settings(each, row)), None)


def _same_settings(published: Published, row: Row) -> bool:
    asked = _WHOLE | dict(published.settings)
    return all(_same(value_at(row.settings, key), value) for key, value in asked.items())


def _same(ours: Any, theirs: Any) -> bool:
    numbers = isinstance(ours, int | float) and isinstance(theirs, int | float)
    return math.isclose(ours, theirs) if numbers else ours == theirs


@cache
def _entries() -> dict[tuple[str, ...], list[Published]]:
    import yaml

    known = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    entries: dict[tuple[str, ...], list[Published]] = {}
    for table in known["tables"]:
        for dataset, score in table["scores"].items():
            metric, distillation = known["metrics"][dataset], table.get("distillation", "none")
            entry = Published(
                **{name: table[name] for name in ("method", "model", "settings", "statistic", "source")},
                dataset=dataset,
                distillation=distillation,
                metric=metric,
                score=score,
                dense=table["dense"][dataset],
                speedup=table.get("speedup"),
            )
            names = (entry.method, entry.model, dataset, distillation, metric)
            entries.setdefault(names, []).append(entry)
    return entries
