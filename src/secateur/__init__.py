"""Secateur compresses question-answering and text-classification transformers and measures the effect."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

# Idle OpenMP threads spin and slow down concurrent processes several times over. The runtime reads this setting once,
# when torch is first imported; nothing in secateur imports torch before this line.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("secateur")
__all__ = ["SecateurError", "load"]


def __getattr__(name: str) -> Any:
    # torch and transformers are imported only when a model is requested.
    if name == "load":
        from secateur.structure.checkpoint import load

        return load
    if name == "SecateurError":
        from secateur.errors import SecateurError

        return SecateurError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
