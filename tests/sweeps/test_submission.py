"""Results of jobs that submitit ran, with stand-ins for them: results, errors, and jobs that end without either."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("submitit", reason="the extra slurm is not installed")

from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import FailedJobError, UncompletedJobError

from secateur.errors import SecateurError
from secateur.sweeps.jobs import Job
from secateur.sweeps.submission import _gpus, _threads, check_local, collected, run_locally


def answer(what: str) -> JobReturn:
    """What a process runs here."""
    import os

    if what == "dies":
        os.kill(os.getpid(), 9)
    if what == "raises":
        raise SecateurError("sparsity=2: too much")
    returned = JobReturn()
    returned.status, returned.return_value = JobStatus.COMPLETED, os.environ["OMP_NUM_THREADS"]
    return returned


def test_processes_run_side_by_side_and_none_takes_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr("secateur.sweeps.submission._gpus", lambda *_: {})
    params: dict[str, Any] = {
        "submitit_folder": str(tmp_path / "jobs"),
        "parallelism": 2,
        "tasks_per_node": 1,
        "timeout_min": 5,
        "gpus_per_node": 0,
    }
    whats = ("works", "raises", "dies")
    jobs = [(Job(number=number, overrides=[], folder=tmp_path / what), (what,)) for number, what in enumerate(whats)]
    returns = run_locally(answer, jobs, params)
    assert [returns[number].status for number in range(3)] == [JobStatus.COMPLETED, *[JobStatus.FAILED] * 2]
    assert returns[0].return_value == "4"
    assert str(returns[1]._return_value) == "sparsity=2: too much"
    assert str(returns[2]._return_value).startswith("ended without a result: killed or cancelled; its output: ")


class Told:
    """A job that is over, with a result on disk that says ``error``."""

    num_tasks = 1

    def __init__(self, path: Path, error: Exception) -> None:
        path.touch()
        self.paths = SimpleNamespace(result_pickle=path, stderr=path.with_name("err"))
        self.error = error

    def task(self, _number: int) -> Told:
        return self

    def result(self) -> JobReturn:
        raise self.error


RULE = "-" * 22


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FailedJobError(f"with trace:\n{RULE}\nTraceback\nValueError: a {RULE} b\n{RULE}\nlogs"), f"a {RULE} b"),
        (UncompletedJobError("Job 7 has not produced any output"), "Job 7 has not produced any output"),
        (EOFError("Ran out of input"), "its result cannot be read (Ran out of input); its output: "),
    ],
)
def test_whatever_a_result_says_is_a_row_of_the_table(error: Exception, told: str, tmp_path: Path) -> None:
    job = Job(number=0, overrides=[], folder=tmp_path)
    returned = collected(job, Told(tmp_path / "result.pkl", error))
    assert returned.status == JobStatus.FAILED
    assert str(returned._return_value).startswith(told)


def test_slots_have_gpus_of_their_own_as_far_as_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [_gpus(slot, None)["visible_gpus"] for slot in range(4)] == [[0], [1], [2], [0]]
    assert _gpus(1, 2) == {"gpus_per_node": 2, "visible_gpus": [2, 0]}
    assert _gpus(1, 0)["gpus_per_node"] == 0
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert _gpus(0, None)["visible_gpus"] == []


def test_threads_that_the_user_gave_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert _threads(2) == {}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            {"parallelism": 1, "tasks_per_node": 1, "paralelism": 2},
            r"^hydra\.launcher\.paralelism: unknown key; did you",
        ),
        (
            {"parallelism": 0, "tasks_per_node": 1},
            r"^hydra\.launcher\.parallelism=0: must be a whole number, at least 1$",
        ),
        ({"parallelism": 1, "tasks_per_node": "auto"}, r"^trainer\.devices=auto: a launcher starts the processes"),
    ],
)
def test_settings_that_cannot_work_are_refused(params: dict[str, Any], told: str) -> None:
    with pytest.raises(SecateurError, match=told):
        check_local(params)
