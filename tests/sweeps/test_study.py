"""A study that repeated commands continue: a total number of trials, however the last command ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydra_plugins.secateur_search import Search
from secateur.commands.launch import config_path
from secateur.errors import SecateurError
from secateur.runs.run_folder import Alone
from secateur.sweeps.study import remaining
from tests.small_runs import small

optuna = pytest.importorskip("optuna", reason="the extra search is not installed")


def params(folder: Path, **changed: Any) -> dict[str, Any]:
    """As Hydra hands over ``conf/hydra/sweeper/search.yaml``."""
    chosen = ["hparams_search=best_under_size", "hydra.sweeper.n_trials=4", "sweep=s", f"paths.output={folder}"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("compress", [*small(), *chosen], return_hydra_config=True)
    assert set(instantiate(config.objective).bounds) == {"parameters"}
    sweeper = {**config.hydra.sweeper, "storage": f"sqlite:///{folder}/study.db", **changed}
    return {name: value for name, value in sweeper.items() if not name.startswith("_")}


def test_trials_of_earlier_commands_count_and_those_that_were_cut_short_do_not(tmp_path: Path) -> None:
    assert remaining(params(tmp_path)).sweeper.n_trials == 4
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    study.tell(study.ask(), [1.0])
    study.ask()  # whoever ran it has died
    again = remaining(params(tmp_path)).sweeper
    assert again.n_trials == 3
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")  # the one above keeps its own
    states = [trial.state.name for trial in study.get_trials()]
    assert states == ["COMPLETE", "FAIL"]


def test_of_two_commands_one_searches(tmp_path: Path) -> None:
    """The other would take the trials that are running for dead."""
    search = Search(**params(tmp_path))
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    search.setup(hydra_context=None, task_function=None, config=config)
    with Alone(tmp_path), pytest.raises(SecateurError, match="is working there; let it finish"):
        search.sweep([])


def test_a_study_of_another_kind_is_refused(tmp_path: Path) -> None:
    remaining(params(tmp_path))
    with pytest.raises(SecateurError, match=r"^sweep=s: its study is of a different kind \("):
        remaining(params(tmp_path, direction=OmegaConf.create(["maximize", "minimize"])))
