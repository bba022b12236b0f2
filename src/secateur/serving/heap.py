"""The C library's heap: tensors of varying sizes leave holes in it, so that a long-lived process grows."""

from __future__ import annotations

import ctypes
import sys

_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def trim_heap() -> None:
    """Return the free pages of the heap to the system, if the C library can: glibc's ``malloc_trim``."""
    trim = getattr(_C_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(0)
