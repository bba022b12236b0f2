"""Latency: the reference and the compressed model timed in turn, in one process."""

from __future__ import annotations

import copy
import itertools
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout
from transformers import PreTrainedModel

from secateur.cost.inputs import check_length
from secateur.cost.load import gpu_is_shared, load_now, ran_beside_others
from secateur.cost.runtimes import Pass, Runner, onnx_runner, pytorch_runner
from secateur.errors import SecateurError
from secateur.record import Latency, LatencyPair, Percentiles, Runtime
from secateur.structure.modes import evaluating
from secateur.structure.shape import segments_of

DTypeName = Literal["float32", "bfloat16"]
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LEAST_REPEATS = 5
LEAST_WARM_UPS = 2
WARM_UP_SHARE = 0.1

log = logging.getLogger(__name__)


def measure_latency(
    reference: PreTrainedModel,
    compressed: PreTrainedModel,
    *,
    batch_sizes: Sequence[int],
    lengths: Sequence[int],
    dtypes: Sequence[DTypeName] = ("float32",),
    seconds: float,
    onnx: tuple[Path, Path] | None = None,
) -> Latency:
    """Time both models at every batch size × length × dtype, on the device they are on, and as ONNX if exported.

    A pass takes random tokens without padding and runs under ``torch.inference_mode``. The models take turns, so that
    anything that slows the machine down slows both. ``bfloat16`` means a copy with cast weights, as one would deploy
    it, not autocast, which casts them again in every pass. ONNX Runtime computes on the CPU in float32, the type of the
    files, with the same number of threads. A user's processes on one machine measure one after another.

    Args:
        reference: the dense model.
        compressed: the model to compare with it; may be the same object.
        batch_sizes: sequences in a batch.
        lengths: tokens in a sequence.
        dtypes: ``float32``, ``bfloat16``.
        seconds: the time for all passes together at one setting, after a warm-up of a tenth of that; each pass is
            repeated at least 5 times, however long that takes.
        onnx: the exported files of the reference and of the compressed model.

    Raises:
        SecateurError: if a dtype is unknown, a length exceeds a model's positions, or a file is missing.
    """
    models = (reference, compressed)
    _check(dtypes, lengths, models)
    shapes = list(itertools.product(batch_sizes, lengths))
    with ExitStack() as stack:
        stack.enter_context(_only_measurement())
        for model in models:
            stack.enter_context(evaluating(model))
        before = load_now()
        pairs = [
            pair
            for runtime, dtype, runners in _runners(models, dtypes=dtypes, onnx=onnx)
            for pair in _time_pairs(runners, runtime=runtime, dtype=dtype, shapes=shapes, seconds=seconds)
        ]
        return Latency(
            device=reference.device.type,
            threads=torch.get_num_threads(),
            beside_others=ran_beside_others(before, load_now()) or gpu_is_shared(reference.device),
            pairs=pairs,
        )


def _check(dtypes: Sequence[str], lengths: Sequence[int], models: Sequence[PreTrainedModel]) -> None:
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise SecateurError(f"dtype={dtype!r} cannot be measured; choose from {', '.join(DTYPES)}")
    for model, length in itertools.product(models, lengths):
        check_length(model, length)


def _runners(
    models: Sequence[PreTrainedModel], *, dtypes: Sequence[DTypeName], onnx: Sequence[Path] | None
) -> Iterator[tuple[Runtime, DTypeName, list[Runner]]]:
    """The runners of both models in each runtime and dtype, created only when needed, since they take much memory.

    A third runner is that of the compressed model with the documents' states, if it can keep them.
    """
    is_segmented = segments_of(models[1].config) is not None
    for dtype in dtypes:
        cast = [_cast(model, DTYPES[dtype]) for model in models]
        kept = [pytorch_runner(cast[1], cached=True)] if is_segmented else []
        yield "pytorch", dtype, [*map(pytorch_runner, cast), *kept]
    if onnx is not None:
        kept = [onnx_runner(onnx[1], models[1], cached=True)] if is_segmented else []
        yield "onnxruntime", "float32", [*map(onnx_runner, onnx, models), *kept]


def _time_pairs(
    runners: Sequence[Runner],
    *,
    runtime: Runtime,
    dtype: DTypeName,
    shapes: Sequence[tuple[int, int]],
    seconds: float,
) -> Iterator[LatencyPair]:
    for batch_size, length in shapes:
        times = _time([prepare(batch_size, length) for prepare in runners], seconds=seconds)
        yield LatencyPair(
            runtime=runtime,
            batch_size=batch_size,
            length=length,
            dtype=dtype,
            reference=_percentiles(times[0]),
            compressed=_percentiles(times[1]),
            cached=_percentiles(times[2]) if len(times) > 2 else None,
            repeats=len(times[0]),
        )


def _time(passes: Sequence[Pass], *, seconds: float) -> list[list[float]]:
    """Milliseconds of each repeat of each pass, after a warm-up."""
    with torch.inference_mode():
        _take_turns(passes, seconds=WARM_UP_SHARE * seconds, least=LEAST_WARM_UPS)
        return _take_turns(passes, seconds=seconds, least=LEAST_REPEATS)


def _take_turns(passes: Sequence[Pass], *, seconds: float, least: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in passes]
    end = time.monotonic() + seconds
    while len(times[0]) < least or time.monotonic() < end:
        for run, run_times in zip(passes, times, strict=True):
            run_times.append(_milliseconds(run))
    return times


def _milliseconds(run: Pass) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def _percentiles(times: Sequence[float]) -> Percentiles:
    deciles = statistics.quantiles(times, n=10, method="inclusive")
    return Percentiles(p50=deciles[4], p90=deciles[8])


def _cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model itself if it already has the dtype, otherwise a copy: the caller's model is not changed."""
    return model if model.dtype == dtype else copy.deepcopy(model).to(dtype)  # type: ignore[arg-type]


@contextmanager
def _only_measurement() -> Iterator[None]:
    """Let only one process measure on this machine at a time; the system frees the lock if the process dies."""
    # One file per user: another user's file in a shared temporary folder may not be opened. Other users' measurements
    # are detected as load.
    user = os.getuid() if hasattr(os, "getuid") else "all"
    lock = FileLock(Path(tempfile.gettempdir()) / f"secateur-measure-{user}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("waiting for another measurement on this machine to end (%s)", lock.lock_file)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
