"""Shards are computed once, in order, by the requested number of processes, and a worker's error is raised here."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Features, Value

from secateur.data.shards import write_shards
from secateur.errors import SecateurError

FEATURES = Features({"number": Value("int64"), "process": Value("int64")})


def make(job: int) -> pa.Table:
    if job < 0:
        raise SecateurError(f"job {job}: is below 0")
    return pa.table({"number": [job, job + 1], "process": [os.getpid()] * 2}, schema=FEATURES.arrow_schema)


def test_processes_make_what_is_missing_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    write_shards([0, 10], make, tmp_path, what="a test", processes=1)
    rows = write_shards([0, 10, 20, 30, 40, 50], make, tmp_path, what="a test", processes=2)
    assert rows["number"][:] == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51]
    assert set(rows["process"][:4]) == {os.getpid()}
    assert os.getpid() not in rows["process"][4:]
    with pytest.raises(SecateurError, match="job -1: is below 0"):
        write_shards([0, -1], make, tmp_path / "other", what="a test", processes=2)
