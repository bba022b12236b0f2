"""Packages that not everybody needs: what each extra brings, and whether it is there."""

from __future__ import annotations

from importlib.util import find_spec

from secateur.errors import SecateurError

# What each extra brings: packages by the module that they are imported as.
EXTRAS = {
    "analysis": {"sklearn": "scikit-learn"},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    "search": {"optuna": "optuna", "hydra_plugins.hydra_optuna_sweeper": "hydra-optuna-sweeper"},
    "slurm": {"submitit": "submitit", "hydra_plugins.hydra_submitit_launcher": "hydra-submitit-launcher"},
    "tensorboard": {"tensorboard": "tensorboard"},
}


def check_extra(extra: str, *, asked: str, otherwise: str = "") -> None:
    """Refuse what was ``asked`` where packages of an extra are missing; none of them is imported.

    Args:
        otherwise: what else would do, for the end of the message.

    Raises:
        SecateurError: naming those that are missing.
    """
    missing = [package for module, package in EXTRAS[extra].items() if find_spec(module) is None]
    if missing:
        remedy = f'install with: pip install "secateur[{extra}]"{otherwise}'
        raise SecateurError(f"{asked}: needs {', '.join(missing)}; {remedy}")
