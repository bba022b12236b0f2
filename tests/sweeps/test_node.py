"""How a job that a launcher started handles signals, threads and ranks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("submitit", reason="the extra slurm is not installed")

from hydra.core.utils import JobReturn, JobStatus

from secateur.errors import SecateurError
from secateur.sweeps import node
from secateur.sweeps.node import OnNode


def environment(**given: Any) -> Any:
    """As submitit describes it."""
    usual = {"num_tasks": 1, "num_nodes": 1, "cluster": "slurm", "raw_job_id": "7", "global_rank": 0}
    return SimpleNamespace(_usr_sig=lambda: signal.SIGUSR2, **(usual | given))


@pytest.fixture
def requeued() -> Iterator[list[int]]:
    """The signals that came to what requeues a job; handlers are put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    seen: list[int] = []
    signal.signal(signal.SIGUSR2, lambda number, _: seen.append(number))
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("running", "expected"), [(True, [signal.SIGTERM]), (False, [])])
def test_sigterm_requeues_a_job_unless_slurm_takes_it_away_itself(
    running: bool, expected: list[int], requeued: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_is_running", lambda _: running)
    signal.signal(signal.SIGTERM, node._on_sigterm(environment()))
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert requeued == expected


def test_of_several_processes_the_first_alone_requeues_and_the_others_wait_for_it(
    requeued: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of another would take the first along (``--kill-on-bad-exit``)."""
    waited: list[float] = []
    monkeypatch.setattr(node.time, "sleep", waited.append)
    monkeypatch.setattr(node, "_is_running", lambda _: False)
    for rank, expected in ((0, []), (1, [node.LEADER_SECONDS])):
        signal.signal(signal.SIGTERM, node._on_sigterm(environment(num_tasks=2, global_rank=rank)))
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
        assert waited == expected
    assert requeued == []


def test_sigterm_ends_a_process_of_this_machine(requeued: list[int]) -> None:
    signal.signal(signal.SIGTERM, node._on_sigterm(environment(cluster="local")))
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)
    assert requeued == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "3", "SLURM_CPUS_ON_NODE": "8"}, "3"),
        ({"SLURM_CPUS_ON_NODE": "8"}, "4"),
        ({"SLURM_CPUS_ON_NODE": "8", "OMP_NUM_THREADS": "1"}, "1"),
        ({}, None),
    ],
)
def test_a_task_takes_the_processors_that_it_was_given(
    given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    node._share_threads(environment(num_tasks=2))
    assert os.environ.get("OMP_NUM_THREADS") == expected
    os.environ.pop("OMP_NUM_THREADS", None)


def test_one_of_several_processes_that_fails_takes_the_others_along(
    requeued: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its exit code: an error that is only returned would leave them waiting for it."""
    failed = JobReturn()
    failed.status, failed.return_value = JobStatus.FAILED, SecateurError("too little data")
    exported: list[bool] = []
    ranks = SimpleNamespace(export=lambda **_: exported.append(True))
    monkeypatch.setattr(node, "TorchDistributedEnvironment", lambda: ranks)
    monkeypatch.setattr(node.submitit, "JobEnvironment", lambda: environment(num_tasks=2))
    with pytest.raises(SecateurError, match="too little data"):
        OnNode(lambda *_: failed)("arguments")
    assert exported == [True]
    monkeypatch.setattr(node.submitit, "JobEnvironment", environment)
    assert OnNode(lambda *_: failed)("arguments") is failed
