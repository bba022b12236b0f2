"""Atomic file writes, and full disks: reported in one line, without losing anything written earlier."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import SecateurError

# No space or quota left, or a file larger than the user may write.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How libraries written in other languages report it.
TOLD = ("No space left on device", "StorageFull", "Disk quota exceeded", "File too large")


def write_whole(path: Path, text: str) -> None:
    """Write a temporary file next to ``path``, then rename it, so that ``path`` is never incomplete, even if killed."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(path)


class DiskFullError(SecateurError):
    """Nothing more can be written: the disk is full."""


@contextmanager
def full_disk_reported(folder: Path) -> Iterator[None]:
    """Within the context, an error caused by a full disk is reported as such.

    The run has not failed: it resumes from its last checkpoint once there is space.

    Raises:
        DiskFullError: in place of such an error.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise DiskFullError(
            f"{folder}: this folder or the store can no longer be written ({reason}); free space and repeat the "
            "command, which resumes the run"
        ) from error


def _reason(error: BaseException | None) -> str | None:
    """Why nothing can be written, if that caused the error; None otherwise."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error.strerror
        if told := next((words for words in TOLD if words in str(error)), None):
            return told
        error = error.__cause__ or error.__context__
    return None
