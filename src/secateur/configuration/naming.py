"""Where a run is stored: its folder is named after its configuration, not after the time.

Hydra evaluates these resolvers before the config is checked, so they never raise; invalid values are reported by
:mod:`secateur.configuration.checks`, in one line.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from secateur.configuration.schema import DatasetConfig
from secateur.data.sources import fingerprint
from secateur.store import key_of

# Keys that do not affect the compressed model: runs that differ only in these are the same run.
OUTSIDE = ("hydra", "paths", "callbacks", "logger", "sweep", "force", "retry", "threads", "export", "objective")

_STAND_IN = "secateur-unwritable"  # if a run's folder has no name, or cannot be created


def run_name(*, _root_: DictConfig) -> str:
    """``<method>-<model>-<dataset>-s<sparsity>-seed<n>-<hash>``, the hash over all that affects the result."""
    try:
        asked = resolved(_root_)
    except OmegaConfBaseException:  # a reference to a missing key
        return _STAND_IN
    parts = [_name(asked, "method"), _name(asked, "model"), _name(asked, "dataset")]
    if asked.get("sparsity") is not None:
        parts.append(f"s{asked['sparsity']}")
    parts.append(f"seed{asked.get('seed')}")
    key = key_of({"config": asked, "data": _fingerprint(asked)})[:8]
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts) + f"-{key}"


def run_folder(*, _root_: DictConfig) -> str:
    """The folder of a single run, or of this job of a multirun."""
    if OmegaConf.select(_root_, "hydra.mode") is not None and "MULTIRUN" in str(_root_.hydra.mode):
        return str(Path(sweep_folder(_root_=_root_)) / run_name(_root_=_root_))
    return _creatable(_path(_root_, "runs") / run_name(_root_=_root_))


def sweep_folder(*, _root_: DictConfig) -> str:
    """The folder of a multirun."""
    return _creatable(_path(_root_, "sweeps") / str(_root_.sweep))


def evaluation_folder(*, _root_: DictConfig) -> str:
    """Where scores of a model on a data set are written: a folder per pair, named after the end of the model's path."""
    model = "-".join(Path(_root_.checkpoint).parts[-2:])
    name = re.sub(r"[^\w.-]+", "_", f"{model}-{_root_.dataset.name}")
    return str(Path(_root_.paths.output) / "evaluations" / name)


def resolved(config: DictConfig) -> dict[str, Any]:
    """The part of the composed config that affects the result, as plain values."""
    keys = [str(key) for key in config if key not in OUTSIDE]
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, [*keys, "paths"]), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "paths"}


def register() -> None:
    """Register the resolvers with OmegaConf."""
    for resolver in (run_name, run_folder, sweep_folder, evaluation_folder):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


def _path(root: DictConfig, key: str) -> Path:
    """A folder of ``paths``, or where that is not one, a stand-in."""
    try:
        return Path(root.paths[key])
    except (OmegaConfBaseException, TypeError):
        return Path(tempfile.gettempdir())


def _name(asked: dict[str, Any], group: str) -> str:
    return str((asked.get(group) or {}).get("name", "none"))


def _fingerprint(asked: dict[str, Any]) -> str:
    try:
        return fingerprint(DatasetConfig(**asked["dataset"]).source())
    except (KeyError, TypeError):  # an extra or a missing key, which the check of the config reports
        return "unknown"


def _creatable(folder: Path) -> str:
    """``folder``, or a stand-in if it cannot be created: Hydra creates it before the checks can report that."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return str(Path(tempfile.gettempdir()) / _STAND_IN)
    return str(folder)
