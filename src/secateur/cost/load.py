"""Load: whether a measurement had the machine to itself."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

STAT = Path("/proc/stat")
QUIET_CORES = 0.25
QUIET_SHARE = 0.05
QUIET_GPU_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class Load:
    """Seconds since a fixed moment: wall-clock time, CPU time of this process, and busy time of all processors."""

    wall: float
    own: float
    machine: float | None


def load_now() -> Load:
    """The current readings; ``machine`` is None if the system does not report it."""
    return Load(wall=time.monotonic(), own=time.process_time(), machine=_busy_seconds())


def ran_beside_others(before: Load, after: Load) -> bool:
    """Whether other processes kept the processors busy between the two readings.

    Other processes' time is the machine's busy time (of all users and containers, and what a hypervisor gave to other
    machines) minus our own. It counts if it is more than a quarter of one core, which is above what an idle system
    uses, and more than a twentieth of our own time, by which the kernel's ticks and a process's own clock may differ.
    The interval should be a second or longer. If the system does not report busy time, the result is True.
    """
    if before.machine is None or after.machine is None:
        return True
    own = after.own - before.own
    others = after.machine - before.machine - own
    return others > max(QUIET_CORES * (after.wall - before.wall), QUIET_SHARE * own)


def gpu_is_shared(device: torch.device) -> bool:
    """Whether more than 1 GiB of GPU memory is used by anything other than this process's tensors.

    Each process that uses a GPU reserves about half a GiB for itself, including ours.
    """
    if device.type != "cuda":
        return False
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device) > QUIET_GPU_BYTES


def _busy_seconds() -> float | None:
    """The busy time of all processors together since the system started, in seconds."""
    try:
        first = STAT.read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; guests' time, which follows, is in the first two
    user, nice, system, _, _, *interrupts_and_steal = (int(ticks) for ticks in first.split()[1:9])
    return (user + nice + system + sum(interrupts_and_steal)) / os.sysconf("SC_CLK_TCK")
