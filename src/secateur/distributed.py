"""Several processes that train one model: one leads, the others take part in its fits and write nothing.

Each process runs the whole program. A follower passes over what is finished on disk, joins the fits that are not, and
waits for the leader to have written down what came of them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

# What Lightning, torchrun and SLURM call a process's number; all are 0, or not set, in the one that leads.
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
POLL_SECONDS = 0.2


def is_leader() -> bool:
    """Whether this process is the only one of its job, or the first."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def wait_for(path: Path) -> None:
    """Wait until the leader has put ``path`` in its place.

    Raises:
        ChildProcessError: if the process that started this one has died.
    """
    parent = os.getppid()
    while not path.exists():
        if os.getppid() != parent:
            raise ChildProcessError(f"the leading process died before it wrote {path}")
        time.sleep(POLL_SECONDS)
