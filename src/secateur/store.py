"""The store: results that are expensive to compute, made once and shared by every job that needs them.

It holds tokens and predecessors, among others. An entry is a folder, named by a key over everything that determines
its content. The first process that needs it makes it under a file lock, in a temporary folder next to it that is
renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from secateur.distributed import is_leader, wait_for
from secateur.errors import SecateurError

log = logging.getLogger(__name__)

TELL_SECONDS = 10.0  # how often a waiting process checks which process it is waiting for


def key_of(settings: Any) -> str:
    """A short key, the same for equal settings in every process; ``settings`` must be plain JSON values."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def made_once(folder: Path, make: Callable[[Path], None], *, what: str, by_all: bool = False) -> Path:
    """Return ``folder``, made by ``make(partial)`` if it does not exist yet.

    ``make`` fills ``folder.partial``, which is then renamed. If its process dies, the system frees the lock and the
    next waiting process calls ``make`` with what was left there, so that training resumes from its checkpoint.

    Args:
        what: the name of the entry in messages to a waiting user.
        by_all: whether ``make`` trains, so that the followers of a distributed job must take part in it.
    """
    if folder.is_dir():
        return folder
    if not is_leader():
        if by_all:
            make(_partial(folder))
        wait_for(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder, what):
        if not folder.is_dir():  # no other process made it while this one waited
            partial = _partial(folder)
            partial.mkdir(exist_ok=True)
            try:
                make(partial)
            except BaseException:
                if not any(partial.iterdir()):  # nothing was written, so there is nothing to resume
                    partial.rmdir()
                raise
            partial.replace(folder)
    return folder


def _partial(folder: Path) -> Path:
    return folder.with_name(folder.name + ".partial")


@contextmanager
def _locked(folder: Path, what: str) -> Iterator[None]:
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    owner = folder.with_name(folder.name + ".owner")
    _wait_for(lock, owner, f"{what} ({folder})")
    try:
        if owner.is_file():  # a process that exits normally removes it
            log.info("%s died before %s was complete; resuming from there", owner.read_text(encoding="utf-8"), what)
        owner.write_text(me(), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _wait_for(lock: FileLock, owner: Path, what: str) -> None:
    """Acquire the lock; until then, log which process holds it, and each change of holder."""
    told: str | None = None
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0 if told is None else TELL_SECONDS)
        except Timeout:
            who = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
            if who != told:
                log.info("waiting for %s: %s is making it", what, who)
            told = who


def me() -> str:
    """This process as described to those waiting for it: its id, its machine and, if any, its SLURM job's id."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"process {os.getpid()} on {socket.gethostname()}" + (f" (SLURM job {job})" if job else "")


def check_writable(folder: Path, *, key: str, remedy: str = "choose another folder") -> None:
    """Refuse a folder that cannot be written, before anything is created there.

    Raises:
        SecateurError: naming the config key and the system's reason.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SecateurError(f"{key}={folder}: cannot be written ({error.strerror}); {remedy}") from error
