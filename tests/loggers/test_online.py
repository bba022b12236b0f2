"""What reaches a server: runs with their complete config, curves, figures, pictures and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from secateur.errors import SecateurError
from tests.loggers.server import Told, serving
from tests.small_runs import Killed, kill_at, run

ONLINE = ("logger=wandb", "logger.log.tags=[first,try]", "trainer.log_every_n_steps=1", "sweep=s")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Told, dict[str, Path]]]:
    """A run that ends well; one that fails; one that is interrupted and goes on. And their folders."""
    output = tmp_path_factory.mktemp("output")
    folders: dict[str, Path] = {}
    wandb.teardown()  # what earlier tests had set up knows another server
    with serving() as (address, told), pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", address)
        patch.setenv("WANDB_API_KEY", "0" * 40)
        for name in ("WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID"):
            patch.delenv(name, raising=False)
        _, folders["gain"] = run("method=gain", *ONLINE, output=output)
        with pytest.raises(SecateurError, match="loss is nan"):
            run("method=random", "method.steps.recover.learning_rate=1e30", *ONLINE, output=output)
        (folders["random"],) = (output / "runs").glob("random-*")
        with pytest.raises(Killed):
            run("method=control", "sparsity=null", kill_at(3, when="batch"), *ONLINE, output=output)
        _, folders["control"] = run("method=control", "sparsity=null", *ONLINE, output=output)
        wandb.teardown()  # the client's process has sent everything then
        yield told, folders


def run_of(method: str, told: tuple[Told, dict[str, Path]]) -> str:
    return (told[1][method] / "wandb_id").read_text()


def test_a_run_is_begun_with_its_whole_config(told: tuple[Told, dict[str, Path]]) -> None:
    begun = next(settings for settings in told[0].runs if settings["name"] == run_of("gain", told))
    assert (begun["groupName"], begun["jobType"], begun["displayName"]) == ("s", "gain", told[1]["gain"].name)
    assert sorted(begun["tags"]) == ["first", "try"]
    assert begun["config"]["method"]["value"]["steps"]["recover"]["epochs"] == 1
    assert begun["config"]["sparsity"]["value"] == 0.5


def test_curves_figures_and_pictures_arrive(told: tuple[Told, dict[str, Path]]) -> None:
    name = run_of("gain", told)
    assert {"recover/train/loss", "recover/val/f1", "predecessor/train/loss"} <= set(told[0].history(name))
    assert {"compressed/f1", "retention", "figures/structure"} <= set(told[0].summary(name))
    assert any(path.startswith("media/images/figures/structure") for path in told[0].uploads)


def test_the_exit_code_tells_how_a_run_ended(told: tuple[Told, dict[str, Path]]) -> None:
    """An interrupted one ends as such, then well, under one id."""
    assert told[0].exits(run_of("gain", told)) == [0]
    assert told[0].exits(run_of("random", told)) == [1]
    assert told[0].exits(run_of("control", told)) == [1, 0]
    assert len({settings["name"] for settings in told[0].runs}) == 3
