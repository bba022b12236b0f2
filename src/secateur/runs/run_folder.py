"""A run's folder: one process at a time works in it, and what an earlier run of the same name left is forgotten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from secateur.disk import full_disk_is_told
from secateur.errors import SecateurError
from secateur.record import Record, read_record
from secateur.store import check_writable, me


class Alone(FileLock):
    """Only one process works in a run folder.

    Raises:
        SecateurError: on entering it, if another does.
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
            raise SecateurError(f"{self.folder}: {who} works there; let it finish") from None
        owner.write_text(me(), encoding="utf-8")
        return self


@contextmanager
def finished_run(folder: Path) -> Iterator[Record]:
    """The record of a finished run as it is now; within the context no other process works in the run's folder.

    Raises:
        SecateurError: if another process works there, the run is not finished any more, or the disk is full.
    """
    with full_disk_is_told(folder), Alone(folder):
        record = read_record(folder)
        if record.status != "finished":
            raise SecateurError(f"{folder}: the run is {record.status} by now; finish it first, by the same command")
        yield record


def check_runs_writable(folders: Iterable[Path]) -> None:
    """Refuse run folders that cannot be added to, before any is worked on.

    Raises:
        SecateurError: for the first.
    """
    for folder in folders:
        check_writable(folder, key="run", remedy="give a copy of the run that can be")


def discard(folder: Path) -> None:
    """Forget an earlier run of the same name."""
    for path in folder.glob("[!.]*"):  # not the lock that this process holds
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def discards_itself() -> bool:
    """Whether a run that is forced has to forget what was there.

    A launcher's jobs were cleared before they were handed over, and a job that SLURM began anew goes on.
    """
    return "SUBMITIT_EXECUTOR" not in os.environ and os.environ.get("SLURM_RESTART_COUNT", "0") == "0"
