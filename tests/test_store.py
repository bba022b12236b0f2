"""The store: an entry is made once, completely or not at all, by the first process that survives making it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest
from filelock import FileLock

from secateur.errors import SecateurError
from secateur.store import check_writable, key_of, made_once

SPAWN = multiprocessing.get_context("spawn")


def _make(partial: Path) -> None:
    (partial / "content").write_text("whole")


def _never(partial: Path) -> None:
    raise AssertionError("it has been made already")


def test_an_entry_is_made_once(tmp_path):
    folder = tmp_path / "tokens" / "squad-0123"
    assert made_once(folder, _make, what="the tokens") == folder
    assert made_once(folder, _never, what="the tokens") == folder
    assert (folder / "content").read_text() == "whole"
    assert not folder.with_name("squad-0123.partial").exists()


def test_nothing_half_made_bears_the_entrys_name(tmp_path):
    folder = tmp_path / "entry"

    def make(partial: Path) -> None:
        assert partial.is_dir()
        assert not folder.exists()
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        made_once(folder, make, what="it")
    assert not folder.exists()


def test_a_failure_frees_the_lock_and_keeps_what_there_was(tmp_path):
    """In a sweep the same process goes on with the next job, which needs the same entry."""
    folder = tmp_path / "entry"

    def fail(partial: Path) -> None:
        (partial / "checkpoint").write_text("step 7")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError) as held:  # the traceback lives on, and must not hold the lock
        made_once(folder, fail, what="it")
    found = []
    made_once(folder, lambda partial: found.append((partial / "checkpoint").read_text()), what="it")
    assert found == ["step 7"]
    assert held.traceback
    FileLock(tmp_path / "entry.lock").acquire(timeout=0).lock.release()


def _race(folder: Path, barrier: Barrier) -> None:
    def make(partial: Path) -> None:
        with (folder.parent / "makers").open("a") as makers:
            makers.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        _make(partial)

    barrier.wait(30)
    assert (made_once(folder, make, what="it") / "content").read_text() == "whole"


def test_a_failure_before_anything_was_begun_leaves_nothing(tmp_path):
    def refuse(partial):
        raise SecateurError("train.json: line 1: not JSON")

    with pytest.raises(SecateurError):
        made_once(tmp_path / "entry", refuse, what="an entry")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_processes_that_come_at_once_make_it_once(tmp_path):
    barrier = SPAWN.Barrier(2)
    processes = [SPAWN.Process(target=_race, args=(tmp_path / "entry", barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len((tmp_path / "makers").read_text().split()) == 1


def _make_forever(folder: Path, begun: Event) -> None:
    def make(partial: Path) -> None:
        (partial / "checkpoint").write_text("step 7")
        begun.set()
        time.sleep(60)

    made_once(folder, make, what="the predecessor")


def test_whoever_waits_is_told_for_whom_and_takes_over_when_that_process_dies(tmp_path, caplog):
    folder = tmp_path / "entry"
    begun = SPAWN.Event()
    owner = SPAWN.Process(target=_make_forever, args=(folder, begun))
    owner.start()
    assert begun.wait(30)
    killer = threading.Timer(0.5, lambda: os.kill(owner.pid, signal.SIGKILL))
    killer.start()
    found = []

    def go_on(partial: Path) -> None:
        found.append((partial / "checkpoint").read_text())
        _make(partial)

    with caplog.at_level(logging.INFO, logger="secateur.store"):
        made_once(folder, go_on, what="the predecessor")
    owner.join()
    assert owner.exitcode == -signal.SIGKILL
    assert found == ["step 7"]
    assert (folder / "content").read_text() == "whole"
    who = f"process {owner.pid} on {socket.gethostname()}"
    assert caplog.messages == [
        f"waiting for the predecessor ({folder}): {who} is making it",
        f"{who} died before the predecessor was complete; resuming from there",
    ]
    assert not folder.with_name("entry.owner").exists()


def test_keys_depend_on_what_is_said_not_on_how():
    """Pinned by value: another process, or a later version, must find what this one made."""
    settings = {"rows": "ab12", "limits": [100, None], "task": {"b": 0.5, "a": True}}
    turned = {"task": {"a": True, "b": 0.5}, "limits": [100, None], "rows": "ab12"}
    assert key_of(settings) == key_of(turned) == "604fe4953049"
    others = [{**settings, "rows": "ab13"}, {**settings, "limits": [None, 100]}, {**settings, "task": {}}]
    assert len({key_of(other) for other in [settings, *others]}) == 4


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b", key="paths.store")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["", "store"])
def test_a_folder_that_cannot_be_written_is_named_with_its_key(tmp_path, below):
    """A file is in the way: that stops everyone, root included."""
    (tmp_path / "taken").write_text("")
    folder = tmp_path / "taken" / below
    with pytest.raises(SecateurError, match=r"cannot be written \(.+\); choose another folder$") as caught:
        check_writable(folder, key="paths.store")
    assert str(caught.value).startswith(f"paths.store={folder}: ")
    assert "\n" not in str(caught.value)
