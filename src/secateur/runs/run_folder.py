"""A run's folder: only one process at a time works in it, and a forced run discards what an earlier one left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from secateur.errors import SecateurError
from secateur.store import me


class Alone(FileLock):
    """A lock that lets only one process work in a run folder.

    Raises:
        SecateurError: on entering, if another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / ".lock")
        self.folder = folder

    def __enter__(self) -> Alone:
        owner = self.folder / ".owner"
        try:
            self.acquire(timeout=0)
        except Timeout:
            who = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
            raise SecateurError(f"{self.folder}: {who} is working there; let it finish") from None
        owner.write_text(me(), encoding="utf-8")
        return self


def discard(folder: Path) -> None:
    """Delete what an earlier run of the same name left in ``folder``."""
    for path in folder.glob("[!.]*"):  # not the lock that this process holds
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def discards_itself() -> bool:
    """Whether a forced run must itself discard what is in its folder.

    A launcher clears its jobs' folders before it submits them, and a job that SLURM restarted resumes.
    """
    return "SUBMITIT_EXECUTOR" not in os.environ and os.environ.get("SLURM_RESTART_COUNT", "0") == "0"
