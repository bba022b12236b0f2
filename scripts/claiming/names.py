"""The names of a multirun's runs before it has run, so that a later one can start from their models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache


def run_names(arguments: Sequence[str]) -> list[str]:
    """The folders of its runs, in the order in which they run; ``arguments`` are those after ``secateur -m``."""
    return list(_names(tuple(arguments)))


def jobs_of(arguments: Sequence[str]) -> list[list[str]]:
    """The overrides of each run, split as by Hydra's own sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(arguments))
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(overrides) for overrides in batch]


@cache
def _names(arguments: tuple[str, ...]) -> list[str]:
    from hydra import compose, initialize_config_dir

    from secateur.commands.launch import config_path
    from secateur.configuration import naming

    with initialize_config_dir(config_path(), version_base="1.3"):
        return [naming.run_name(_root_=compose("compress", overrides)) for overrides in jobs_of(arguments)]
