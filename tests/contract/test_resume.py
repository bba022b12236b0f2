"""A killed run goes on as if nothing had happened: the same weights, scores and structure, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from safetensors import safe_open

from secateur.record import Record
from tests.contract.methods import Row
from tests.small_runs import Killed, kill_at, run

# 80 training rows, batches of 16: 5 batches an epoch, 10 in the predecessor's two epochs, 5 in recovery's one.
EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"
KILLS = {
    "mid-epoch": (2, "batch"),
    "before an epoch's last batch": (4, "batch"),
    "on an epoch's last batch": (5, "batch"),
    "in an epoch's validation": (5, "validation"),
    "between two epochs": (5, "epoch"),
    "in the second epoch": (8, "batch"),
}


def assert_same(one: tuple[Record, Path], other: tuple[Record, Path]) -> None:
    """Weights to the bit; scores, structure and steps but for their timings."""
    for name in ("model", *(f"steps/{step.name}/model" for step in sorted((one[1] / "steps").glob("*")))):
        assert_same_weights(one[1] / name, other[1] / name)
    assert one[0].reference is not None
    assert other[0].reference is not None
    assert one[0].reference.scores == other[0].reference.scores
    assert one[0].compressed is not None
    assert other[0].compressed is not None
    assert one[0].compressed.scores == other[0].compressed.scores
    assert one[0].compressed.structure == other[0].compressed.structure
    steps = [[step.model_dump(exclude={"seconds"}) for step in record.steps] for record, _ in (one, other)]
    assert steps[0] == steps[1]


def assert_same_weights(one: Path, other: Path) -> None:
    path = "model.safetensors"
    assert (one / path).is_file() == (other / path).is_file()
    if not (one / path).is_file():
        return
    with safe_open(one / path, "pt") as ours, safe_open(other / path, "pt") as theirs:
        assert set(ours.keys()) == set(theirs.keys())
        for key in ours.keys():  # noqa: SIM118 - not a mapping
            assert ours.get_tensor(key).equal(theirs.get_tensor(key)), key


SETTINGS = {
    "plain": (),
    "accumulated": ("predecessor.accumulate_grad_batches=2",),
    "bf16": ("trainer.precision=bf16-mixed",),
}
CASES = [("plain", kill) for kill in KILLS] + [
    (setting, kill)
    for setting in ("accumulated", "bf16")
    for kill in ("mid-epoch", "on an epoch's last batch", "between two epochs")
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Record, Path]]:
    """One whole run for each setting, made on first use."""

    @cache
    def whole(setting: str) -> tuple[Record, Path]:
        return run("method=finetune", EVERY_STEP, *SETTINGS[setting], output=tmp_path_factory.mktemp("whole"))

    return whole


@pytest.mark.parametrize(("setting", "kill"), CASES)
def test_predecessor_resumes_to_the_bit(
    setting: str, kill: str, uninterrupted: Callable[[str], tuple[Record, Path]], tmp_path: Path
) -> None:
    """The longest phase there is: two epochs, a validation after each."""
    step, when = KILLS[kill]
    if setting == "accumulated":
        step = round(step * 3 / 5)  # an epoch has five batches, and three optimizer steps
    overrides = ["method=finetune", EVERY_STEP, *SETTINGS[setting]]
    with pytest.raises(Killed):
        run(*overrides, kill_at(step, when=when), output=tmp_path)
    assert_same(uninterrupted(setting), run(*overrides, output=tmp_path))


def test_every_phase_of_every_method_resumes_to_the_bit(row: Row, output: Path, tmp_path: Path) -> None:
    """The predecessor is there; each of the method's own phases in turn is killed in the middle of its epoch."""
    if not row.phases:
        pytest.skip("the method trains nothing but the predecessor")
    overrides = [*row.overrides, EVERY_STEP, f"paths.store={output / 'store'}"]
    whole = run(*overrides, output=tmp_path / "whole")
    for _ in row.phases:
        with pytest.raises(Killed):
            run(*overrides, kill_at(3, when="batch"), output=tmp_path / "killed")
    assert_same(whole, run(*overrides, output=tmp_path / "killed"))


def test_no_validation_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed on an epoch's last batch, the resumed run still validates that epoch."""
    from secateur.training.module import TaskModule

    seen: list[float] = []
    plain = TaskModule.on_validation_epoch_end

    def counting(self: TaskModule) -> None:
        plain(self)
        seen.append(self.evaluator.scores()["f1"])

    monkeypatch.setattr(TaskModule, "on_validation_epoch_end", counting)
    run("method=finetune", EVERY_STEP, output=tmp_path / "whole")
    whole = seen.copy()
    seen.clear()
    with pytest.raises(Killed):
        run("method=finetune", EVERY_STEP, kill_at(5, when="batch"), output=tmp_path / "killed")
    run("method=finetune", EVERY_STEP, output=tmp_path / "killed")
    assert seen == whole
    assert len(whole) == 2
