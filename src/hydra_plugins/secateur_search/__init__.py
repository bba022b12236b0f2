"""A persistent Optuna sweeper: trials of earlier commands count. Hydra looks for sweepers in this namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Search(Sweeper):
    """Runs the remaining trials of a study with hydra-optuna-sweeper.

    Args:
        params: the settings of ``conf/hydra/sweeper/search.yaml``.
    """

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra passes in."""
        self.folder = Path(config.hydra.sweep.dir)
        self.handed: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> Any:
        """Run the remaining trials, and write the best.

        Raises:
            SecateurError: if the packages are missing, the study is of a different kind, another command is searching
                in the same folder, or no trial has ever finished.
        """
        from secateur.runs.run_folder import Alone
        from secateur.sweeps.study import remaining, searched

        self.folder.mkdir(parents=True, exist_ok=True)
        with Alone(self.folder):
            sweeper = remaining(self.params)
            sweeper.setup(**self.handed)
            return searched(sweeper, arguments)
