"""What a run was executed on: the machine and the libraries, for records."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("secateur", "torch", "transformers", "pytorch-lightning", "datasets", "hydra-core")


def versions() -> dict[str, str]:
    """Installed versions of secateur and of the libraries it is built on."""
    return {name: version(name) for name in LIBRARIES}


def machine() -> dict[str, Any]:
    """The processor, the system, the accelerator (None if there is none) and the threads per operation."""
    import torch

    return {
        "processor": _processor(),
        "system": platform.platform(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
