"""Secateur compresses question-answering and text-classification transformers, and measures what that bought."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

# An idle team of OpenMP threads spins, and slows down whatever runs beside it, several times over. The runtime reads
# this once, when torch is first imported, which nothing in secateur does before here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("secateur")
__all__ = ["SecateurError", "load"]


def __getattr__(name: str) -> Any:
    # torch and transformers wait until somebody asks for a model.
    if name == "load":
        from secateur.structure.checkpoint import load

        return load
    if name == "SecateurError":
        from secateur.errors import SecateurError

        return SecateurError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
