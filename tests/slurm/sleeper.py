"""A job that does nothing for a while, and records how often it was started and what ended it."""

from __future__ import annotations

import time
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus


class Sleeper:
    """Sleeps for minutes at first; once it was interrupted it ends at once."""

    def __call__(self, path: str) -> JobReturn:
        log = Path(path)
        before = log.read_text() if log.is_file() else ""
        log.write_text(before + "begun\n")
        try:
            time.sleep(0.1 if before else 300)
        except BaseException as error:
            log.write_text(f"{before}begun\n{type(error).__name__}\n")
            raise
        returned = JobReturn()
        returned.status, returned.return_value = JobStatus.COMPLETED, None
        return returned
