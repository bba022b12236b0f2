"""A full disk ends a run with one line, and nothing written earlier is lost."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secateur.disk import DiskFullError, full_disk_reported, write_whole
from secateur.record import read_record
from tests.contract.test_resume import EVERY_STEP, assert_same
from tests.small_runs import Killed, kill_at, run


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk with so many bytes left; the system refuses to write more of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "before\n")
    with no_file_beyond(1000), pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "a.txt", "after" * 1000)
    assert (tmp_path / "a.txt").read_text() == "before\n"


def test_a_run_that_finds_no_room_goes_on_once_there_is(tmp_path: Path) -> None:
    """Its checkpoint takes about 600 kB. It is no failure either: a repeated sweep goes on without being asked to."""
    asked = ("method=control", EVERY_STEP, f"paths.store={tmp_path / 'store'}")
    whole = run(*asked, output=tmp_path / "whole")
    with pytest.raises(Killed):
        run(*asked, kill_at(3, when="batch"), output=tmp_path / "full")
    (folder,) = (tmp_path / "full" / "runs").iterdir()
    checkpoint = folder / "steps" / "00-recover.partial" / "last.ckpt"
    before = checkpoint.read_bytes()
    with (
        no_file_beyond(150_000),
        pytest.raises(DiskFullError, match=r"can no longer be written \(File too large\); free space"),
    ):
        run(*asked, output=tmp_path / "full")
    assert checkpoint.read_bytes() == before
    assert not checkpoint.with_suffix(".partial").exists()
    assert read_record(folder).status == "running"
    assert_same(whole, run(*asked, output=tmp_path / "full"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError('I/O error: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'),
    ],
)
def test_it_is_known_by_number_or_by_what_libraries_say(error: Exception) -> None:
    with pytest.raises(DiskFullError, match=r"^runs/a: .*No space left on device"), full_disk_reported(Path("runs/a")):
        raise ValueError("while writing") from error


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(OSError, match="denied"), full_disk_reported(Path("runs/a")):
        raise PermissionError(errno.EACCES, "denied")
