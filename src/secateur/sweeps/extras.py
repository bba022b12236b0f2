"""Packages that only some ways of sweeping need."""

from __future__ import annotations

from importlib.util import find_spec

from omegaconf import DictConfig

from secateur.errors import SecateurError


def check_submitit_installed(config: DictConfig) -> None:
    """Refuse a launcher whose packages are missing; none of them is imported.

    Raises:
        SecateurError: naming the extra.
    """
    if find_spec("submitit") is None or find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        name = config.hydra.runtime.choices["hydra/launcher"]
        raise SecateurError(
            f'hydra/launcher={name}: needs hydra-submitit-launcher; install with: pip install "secateur[slurm]"'
        )
