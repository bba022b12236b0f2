"""Every option of a group has the same name in records as on the command line, so that a report finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from secateur.commands.launch import config_path

GROUPS = ("dataset", "distillation", "export", "logger", "method", "model")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted(Path(config_path(), group).glob("[!_]*.yaml"))]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_has_its_files_name(group: str, option: str) -> None:
    with initialize_config_dir(config_path(), version_base="1.3"):
        composed = compose("compress", [f"{group}={option}"])
    assert composed[group].name == option
