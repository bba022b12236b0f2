"""An Optuna study that repeated commands continue: its storage, its remaining trials and its result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from omegaconf import ListConfig

from secateur.configuration.extras import check_extra
from secateur.errors import SecateurError

log = logging.getLogger(__name__)


def remaining(params: Mapping[str, Any]) -> Sweeper:
    """hydra-optuna-sweeper's sweeper for the remaining trials of a study.

    Trials that an earlier command left unfinished count as failed; their runs resume if they are sampled again.

    Args:
        params: the settings of ``conf/hydra/sweeper/search.yaml``.

    Raises:
        SecateurError: if the packages are missing, or the study has different directions.
    """
    check_extra("search", asked="hparams_search")
    import optuna
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    study = _study(params)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    trials = study.get_trials()
    finished = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials)
    if trials:
        log.info("study %s: %d of %d trials are finished", study.study_name, finished, params["n_trials"])
    # A different seed after each interruption, but derived from the configured one.
    sampler = instantiate(params["sampler"], seed=params["sampler"]["seed"] + len(trials))
    rest = {"sampler": sampler, "n_trials": max(0, params["n_trials"] - finished)}
    sweeper: Sweeper = OptunaSweeper(**{**params, **rest}, search_space=None, custom_search_space=None)
    return sweeper


def searched(sweeper: Sweeper, arguments: list[str]) -> Any:
    """Run the trials.

    Raises:
        SecateurError: if no trial has ever finished.
    """
    try:
        return sweeper.sweep(arguments)
    except ValueError as error:
        if "No trials are completed" not in str(error):
            raise
        raise SecateurError("hparams_search: no trial finished; the table above says why") from error


def _study(params: Mapping[str, Any]) -> Any:
    """The study, newly created or as earlier commands left it."""
    import optuna

    direction = params["direction"]
    directions = list(direction) if isinstance(direction, list | ListConfig) else [direction]
    try:
        return optuna.create_study(
            study_name=params["study_name"], storage=params["storage"], directions=directions, load_if_exists=True
        )
    except ValueError as error:
        raise SecateurError(
            f"sweep={params['study_name']}: its study is of a different kind ({error}); choose another name"
        ) from error
