"""Optuna's sweeper with a memory: trials of earlier commands count. Hydra looks for sweepers in this namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Search(Sweeper):
    """What is left to do of a study, by hydra-optuna-sweeper.

    Args:
        params: of ``conf/hydra/sweeper/search.yaml``.
    """

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.folder = Path(config.hydra.sweep.dir)
        self.handed: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials that are missing, and write down the best.

        Raises:
            SecateurError: if the packages are missing, the study is of another kind, or another command searches in the
                same folder; or if no trial ever finished.
        """
        from secateur.runs.run_folder import Alone
        from secateur.sweeps.study import remaining, searched

        self.folder.mkdir(parents=True, exist_ok=True)
        with Alone(self.folder):
            sweeper = remaining(self.params)
            sweeper.setup(**self.handed)
            return searched(sweeper, arguments)
