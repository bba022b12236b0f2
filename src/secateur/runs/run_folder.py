"""A run's folder: only one process at a time works in it, and a forced run discards what an earlier one left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from filelock import FileLock, Timeout

from secateur.disk import full_disk_reported
from secateur.errors import SecateurError
from secateur.record import Record, finished_record
from secateur.store import check_writable, me

WRITTEN = (
    *("record.json*", "error.txt", "scores.json*", "predictions.json*", "multirun.yaml", "report.*", "*.log"),
    *("model", "model.*", "onnx", "onnx.*", "steps", "figures", "logs", "wandb", "validation"),
)
"""The files and folders that a run, its loggers and Hydra write."""


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


@contextmanager
def finished_run(folder: Path) -> Iterator[Record]:
    """The record of a finished run as it is now; within the context no other process works in the run's folder.

    Raises:
        SecateurError: if another process works there, the run is no longer finished, or the disk is full.
    """
    with full_disk_reported(folder), Alone(folder):
        yield finished_record(folder)


def check_runs_writable(folders: Iterable[Path]) -> None:
    """Refuse run folders that cannot be written, before any is processed.

    Raises:
        SecateurError: for the first.
    """
    for folder in folders:
        check_writable(folder, key="run", remedy="give a writable copy of the run")


def discard(folder: Path) -> None:
    """Delete what an earlier run of the same name left in ``folder``.

    Raises:
        SecateurError: if the folder contains anything else; nothing is deleted then.
    """
    found = list(folder.glob("[!.]*"))  # not the lock that this process holds
    if foreign := sorted(path.name for path in found if not _is_of_a_run(path.name)):
        raise SecateurError(
            f"force=true: {folder} contains {foreign[0]}, which no run wrote; move it, or choose another folder"
        )
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_of_a_run(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in WRITTEN)


def discards_itself() -> bool:
    """Whether a forced run must itself discard what is in its folder.

    A launcher clears its jobs' folders before it submits them, and a job that SLURM restarted resumes.
    """
    return "SUBMITIT_EXECUTOR" not in os.environ and os.environ.get("SLURM_RESTART_COUNT", "0") == "0"
