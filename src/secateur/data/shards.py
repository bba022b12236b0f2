"""Tables computed shard by shard in several processes and written to disk; existing shards are reused."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from datasets import Dataset, concatenate_datasets
from tqdm import tqdm

Make = Callable[[Any], pa.Table]

# Jobs submitted per process at a time: enough to keep it busy, few enough to fit in memory.
_AHEAD = 2


def write_shards(
    jobs: Iterable[Any], make: Make, folder: Path, *, what: str, total: int | None = None, processes: int | None = None
) -> Dataset:
    """Write ``make(job)`` for each job to ``folder`` and return all rows in the order of the jobs, memory-mapped.

    A shard is named after its job's index, so jobs must come in the same order each time. If this process dies, the
    next call computes only the missing shards.

    Args:
        jobs: at least one; consumed lazily, so they may be a stream of any length.
        make: computes a job's table; like the jobs, it must be picklable.
        folder: where the shards are written.
        what: label of the progress bar.
        total: the number of jobs, if known.
        processes: number of worker processes; None takes this process's number of threads, 1 works in this process.

    Returns:
        The rows of all shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    with _pool(make, torch.get_num_threads() if processes is None else processes) as submit:
        pending: set[Future[None]] = set()
        for number, job in enumerate(tqdm(jobs, desc=what, total=total, unit="shard", delay=2.0, mininterval=1.0)):
            paths.append(folder / f"{number:06d}.arrow")
            if not paths[-1].is_file():
                pending = submit(job, paths[-1], pending)
        for future in pending:
            future.result()
    return concatenate_datasets([Dataset.from_file(str(path)) for path in paths])


Submit = Callable[[Any, Path, set[Future[None]]], set[Future[None]]]


@contextmanager
def _pool(make: Make, processes: int) -> Iterator[Submit]:
    """A function that submits one job, once there is room for it, and returns the pending ones."""
    if processes == 1:

        def at_once(job: Any, path: Path, pending: set[Future[None]]) -> set[Future[None]]:
            _write(make(job), path)
            return pending

        yield at_once
        return
    # Not forked: a child would inherit the locks held by this process's threads.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(make,))

    def when_there_is_room(job: Any, path: Path, pending: set[Future[None]]) -> set[Future[None]]:
        pending = {*pending, executor.submit(_work, job, path)}
        if len(pending) < _AHEAD * processes:
            return pending
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        return pending

    try:
        yield when_there_is_room
    finally:
        executor.shutdown(cancel_futures=True)


_make: Make


def _begin(make: Make) -> None:
    """Prepare a worker: ``make`` is sent once, and the worker exits with the process that started it."""
    global _make  # noqa: PLW0603 - a worker has one task
    _make = make
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(job: Any, path: Path) -> None:
    _write(_make(job), path)


def _write(table: pa.Table, path: Path) -> None:
    """Write under a temporary name, then rename: an existing shard is always complete, whoever else writes it."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    partial.replace(path)
