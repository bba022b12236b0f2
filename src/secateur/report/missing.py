"""Jobs of a sweep that left no record, according to the ``multirun.yaml`` that Hydra keeps in the sweep's folder.

Hydra keeps only the last command, so for a sweep that was started several times the last start counts. Jobs and
records are matched by the record's config values of the keys that the sweep varies.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.errors import SecateurError
from secateur.report.reading import Found, value_at

_FILE = "multirun.yaml"
_GRID = "BasicSweeper"  # a search chooses its jobs as it runs, so they cannot be listed

Config = Mapping[str, Any]


def missing_jobs(folders: Iterable[Path], found: Found) -> tuple[list[str], dict[str, str]]:
    """The jobs without a record, each given by its sweep and its overrides: ``first: method=gain seed=1``.

    Returns:
        The missing jobs; and, by the sweep's name, why the jobs of a sweep cannot be determined.
    """
    files = dict.fromkeys(file.resolve() for folder in folders for file in sorted(folder.rglob(_FILE)))
    configs = {path: record.config for path, record in found.runs.items()}
    configs |= {copy: configs[first] for copy, first in found.copies.items()}
    missing: list[str] = []
    unknown: dict[str, str] = {}
    for file in files:
        try:
            jobs = swept(file)
        except SecateurError as error:
            unknown[file.parent.name] = f"{error}; missing jobs of this sweep are not listed"
            continue
        own = [config for path, config in configs.items() if file.parent in path.parents]
        missing += [f"{file.parent.name}: {job}" for job in _missing(jobs, own)]
    return missing, unknown


def swept(file: Path) -> list[dict[str, str]]:
    """What each job of a grid varies, as ``{key: value}`` in command-line notation; an empty list for a search.

    Raises:
        SecateurError: if the file is not a multirun's, is truncated, or varies what depends on the config folders.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        # Unresolved: it may refer to values that only a job knows.
        plain = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        if _GRID not in str(value_at(plain, "hydra.sweeper._target_")):
            return []
        asked = OverridesParser.create().parse_overrides(value_at(plain, "hydra.overrides.task") or [])
        choices = {
            each.get_key_element(): list(each.sweep_string_iterator()) for each in asked if each.is_sweep_override()
        }
    except (OSError, YAMLError, HydraException, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise SecateurError(f"{file}: cannot be read ({reason})") from error
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
    """Whether ``key`` distinguishes jobs: a config contains no experiment's name and no references to keys."""
    kept = not configs or any(_chosen(config, key) is not None for config in configs)
    return kept and not any("${" in job[key] for job in jobs)


def _chosen(config: Config, key: str) -> Any:
    """The value of ``key`` in a run's config; for a group, the name of the chosen option."""
    value = value_at(config, key.lstrip("+"))
    return value.get("name") if isinstance(value, Mapping) else value


def _value(text: str) -> Any:
    """The config value of ``text`` on the command line: 0.5 for ``0.50``, the option for ``folder/option``."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        value = OmegaConf.select(OmegaConf.create(f"value: {text}"), "value")
    except YAMLError:  # Hydra notation that is not valid YAML
        return text
    return value.rsplit("/", 1)[-1] if isinstance(value, str) else value
