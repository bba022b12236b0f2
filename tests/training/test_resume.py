"""A checkpoint that cannot be read is named, and not gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from secateur.training.resume import CHECKPOINT, usable_checkpoint


def test_a_whole_checkpoint_is_used(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(3)}}, tmp_path / CHECKPOINT)
    assert usable_checkpoint(tmp_path) == tmp_path / CHECKPOINT


@pytest.mark.parametrize("kept", [0, 40, 200])
def test_a_damaged_one_is_told_of_by_its_path(kept: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The power went while it was written: without this, every repetition would end in the unpickler."""
    torch.save({"state_dict": {"weight": torch.ones(3)}}, tmp_path / CHECKPOINT)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[:kept])
    assert usable_checkpoint(tmp_path) is None
    assert f"{tmp_path / CHECKPOINT}: cannot be read" in caplog.text


def test_none_is_none(tmp_path: Path) -> None:
    assert usable_checkpoint(tmp_path) is None
