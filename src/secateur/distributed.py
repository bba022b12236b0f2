"""Several processes that train one model: one leads; the others take part in its fits and write nothing.

Each process runs the entire program. A follower skips what is finished on disk, joins the fits that are not, and waits
until the leader has written their results.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

# The variables in which Lightning, torchrun and SLURM give a process's rank; all are 0 or unset in the leader.
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
POLL_SECONDS = 0.2


def is_leader() -> bool:
    """Whether this process is the only or the first one of its job."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def wait_for(path: Path) -> None:
    """Wait until the leader has created ``path``.

    Raises:
        ChildProcessError: if the process that started this one has died.
    """
    parent = os.getppid()
    while not path.exists():
        if os.getppid() != parent:
            raise ChildProcessError(f"the leading process died before it wrote {path}")
        time.sleep(POLL_SECONDS)
