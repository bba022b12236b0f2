"""Files that are whole or not there, and disks that fill up: told in one line, and nothing older is lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import SecateurError

# No space, no quota left, or a file beyond the size that the user may write.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What libraries written in other languages say of it.
TOLD = ("No space left on device", "StorageFull", "Disk quota exceeded", "File too large")


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place first, then rename it: a reader, or a killed process, never leaves half of it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(path)


class DiskFullError(SecateurError):
    """Nothing more can be written."""


@contextmanager
def full_disk_is_told(folder: Path) -> Iterator[None]:
    """Within the context, an error that comes of a full disk is told as such.

    It is no failure of the run, which goes on from its last checkpoint once there is room.

    Raises:
        DiskFullError: in the place of such an error.
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
            f"{folder}: it, or the store, cannot be written any more ({reason}); make room and repeat the command, "
            "which goes on from what is there"
        ) from error


def _reason(error: BaseException | None) -> str | None:
    """Why nothing can be written, if that is what an error came of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error.strerror
        if told := next((words for words in TOLD if words in str(error)), None):
            return told
        error = error.__cause__ or error.__context__
    return None
