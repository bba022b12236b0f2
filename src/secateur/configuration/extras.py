"""Optional packages: what each extra provides, and whether it is installed."""

from __future__ import annotations

from importlib.util import find_spec

from secateur.errors import SecateurError

# What each extra provides: packages by the name of the module that they are imported as.
EXTRAS = {
    "analysis": {"sklearn": "scikit-learn"},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    "search": {"optuna": "optuna", "hydra_plugins.hydra_optuna_sweeper": "hydra-optuna-sweeper"},
    "slurm": {"submitit": "submitit", "hydra_plugins.hydra_submitit_launcher": "hydra-submitit-launcher"},
    "tensorboard": {"tensorboard": "tensorboard"},
}


def check_extra(extra: str, *, asked: str, otherwise: str = "") -> None:
    """Refuse a request if packages of an extra are missing; none of them is imported.

    Args:
        extra: a key of ``EXTRAS``.
        asked: what was requested, for the start of the message.
        otherwise: an alternative, for the end of the message.

    Raises:
        SecateurError: naming the missing packages.
    """
    missing = [package for module, package in EXTRAS[extra].items() if find_spec(module) is None]
    if missing:
        remedy = f'install with: pip install "secateur[{extra}]"{otherwise}'
        raise SecateurError(f"{asked}: needs {', '.join(missing)}; {remedy}")
