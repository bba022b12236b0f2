"""Jobs of a sweep that left no record: asked for in the ``multirun.yaml`` that Hydra keeps in the sweep's folder.

Hydra keeps the last command only, so of a sweep that was started several times its last start counts. A job is found
again by what its record's config says of the keys that the sweep varies.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.report.reading import Found, value_at

_FILE = "multirun.yaml"
_GRID = "BasicSweeper"  # a search decides on its jobs as it goes

Config = Mapping[str, Any]


def missing_jobs(folders: Iterable[Path], found: Found) -> list[str]:
    """The jobs without a record, each by its sweep and what was asked: ``first: method=gain seed=1``."""
    files = dict.fromkeys(file.resolve() for folder in folders for file in sorted(folder.rglob(_FILE)))
    configs = {path: record.config for path, record in found.runs.items()}
    configs |= {copy: configs[first] for copy, first in found.copies.items()}
    return [
        f"{file.parent.name}: {job}"
        for file in files
        for job in _missing(swept(file), [config for path, config in configs.items() if file.parent in path.parents])
    ]


def swept(file: Path) -> list[dict[str, str]]:
    """What each job of a grid varies, as ``{key: value}`` in the notation of the command line; none for a search."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    config = OmegaConf.load(file)
    if _GRID not in str(OmegaConf.select(config, "hydra.sweeper._target_")):
        return []
    asked = OverridesParser.create().parse_overrides(list(OmegaConf.select(config, "hydra.overrides.task") or []))
    choices = {each.get_key_element(): list(each.sweep_string_iterator()) for each in asked if each.is_sweep_override()}
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def _missing(jobs: Sequence[Mapping[str, str]], configs: Sequence[Config]) -> Iterator[str]:
    keys = [key for key in (jobs[0] if jobs else ()) if _tells(key, jobs, configs)]
    asked: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        known = [f"{key}={job[key]}" for key in keys] or [f"{key}={value}" for key, value in job.items()]
        asked.setdefault(tuple(str(_value(job[key])) for key in keys), []).append(" ".join(known))
    there = Counter(tuple(str(_chosen(config, key)) for key in keys) for config in configs)
    for key, names in asked.items():
        if (lacking := len(names) - there[key]) > 0:
            yield names[0] if len(names) == 1 else f"{names[0]} ({lacking} of {len(names)} such jobs)"


def _tells(key: str, jobs: Sequence[Mapping[str, str]], configs: Sequence[Config]) -> bool:
    """Whether jobs can be told apart by it: a config keeps no experiment's name, and no reference to another key."""
    kept = not configs or any(_chosen(config, key) is not None for config in configs)
    return kept and not any("${" in job[key] for job in jobs)


def _chosen(config: Config, key: str) -> Any:
    """What a run's config has there; of a group the name of the option."""
    value = value_at(config, key.lstrip("+"))
    return value.get("name") if isinstance(value, Mapping) else value


def _value(text: str) -> Any:
    """What a config has where the command line says ``text``: for ``0.50`` 0.5, for ``folder/option`` the option."""
    from omegaconf import OmegaConf

    value = OmegaConf.select(OmegaConf.create(f"value: {text}"), "value")
    return value.rsplit("/", 1)[-1] if isinstance(value, str) else value
