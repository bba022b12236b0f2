"""Which jobs of a multirun are submitted: those that are not finished, were not refused, and did not fail earlier."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus
from hydra.types import HydraContext

from secateur.commands.launch import config_path
from secateur.errors import SecateurError
from secateur.runs.run_folder import Alone
from secateur.sweeps.jobs import Job, clear, planned
from tests.small_runs import run, small

ASKED = ("method=finetune", "model.epochs=1")


def plan(*overrides: str, output: Path, jobs: Sequence[Sequence[str]] = (("seed=1",),)) -> list[Job]:
    """The jobs of ``secateur -m``; those of a sweep lie where single runs do, for these tests."""
    chosen = [*small(*ASKED, *overrides), f"paths.output={output}", f"paths.sweeps={output}", "sweep=runs"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("compress", [*chosen, "hydra.mode=MULTIRUN"], return_hydra_config=True)
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())
        # As from a sweeper: the overrides of a job are all that there are.
        return list(planned(context, config, [[*chosen, *job] for job in jobs], first=0))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("output")
    run(*ASKED, "seed=1", output=folder)
    return folder


@pytest.fixture
def failed(output: Path) -> Path:
    """The same run, had it failed."""
    (path,) = (output / "runs").glob("*-seed1-*/record.json")
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "status": "failed", "error": "the loss is nan"}))
    yield output
    path.write_text(before)


def test_what_is_finished_is_settled_and_the_rest_is_not(output: Path) -> None:
    done, missing = plan(output=output, jobs=[["seed=1"], ["seed=2"]])
    assert done.settled is not None
    assert done.settled.status == JobStatus.COMPLETED
    assert missing.settled is None
    assert [job.number for job in (done, missing)] == [0, 1]
    assert missing.folder.parent == output / "runs"


def test_force_and_an_export_that_is_lacking_are_something_to_do(output: Path) -> None:
    assert plan("force=true", output=output)[0].settled is None
    assert plan("export=onnx", output=output)[0].settled is None


def test_forced_jobs_are_cleared_once_before_they_are_handed_over(output: Path, tmp_path: Path) -> None:
    (forced,) = plan("force=true", output=output)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("record.json", ".slurm_job"):
        (folder / name).write_text("")
    clear([replace(forced, folder=folder), replace(forced, folder=tmp_path / "none")])
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == set()
    assert (folder / ".slurm_job").is_file()
    (folder / "record.json").write_text("")
    with Alone(folder), pytest.raises(SecateurError, match="is working there; let it finish"):
        clear([replace(forced, folder=folder)])
    clear([replace(forced, folder=folder, force=False)])
    assert (folder / "record.json").is_file()


def test_a_key_that_is_missing_is_told_before_anything_is_handed_over(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "api", SimpleNamespace(api_key=None))
    online, offline = (
        plan("logger=wandb", f"logger.offline={offline}", output=output, jobs=[["seed=2"]])[0]
        for offline in ("false", "true")
    )
    assert online.settled is not None
    assert str(online.settled._return_value).startswith("logger=wandb: there is no API key")
    assert offline.settled is None


def test_a_failed_job_is_listed_and_tried_again_when_asked_to(failed: Path) -> None:
    (job,) = plan(output=failed)
    assert job.settled is not None
    assert job.settled.status == JobStatus.FAILED
    assert str(job.settled._return_value) == "failed earlier: the loss is nan; set retry=failed to try it again"
    assert plan("retry=failed", output=failed)[0].settled is None


def test_a_mistake_is_told_before_anything_is_handed_over(output: Path) -> None:
    right, wrong = plan("method=control", output=output, jobs=[["seed=1"], ["seed=2", "threads=0"]])
    assert right.settled is None
    assert wrong.settled is not None
    assert str(wrong.settled._return_value).startswith("threads=0: must be at least 1")
