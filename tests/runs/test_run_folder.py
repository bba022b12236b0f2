"""What ``force=true`` deletes: what a run left, and nothing of anybody else."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from secateur.errors import SecateurError
from secateur.loggers.files import LOGS
from secateur.methods.step_folder import MODEL
from secateur.record import FILE_NAME
from secateur.runs.evaluation import PREDICTIONS, SCORES
from secateur.runs.pipeline import VALIDATION
from secateur.runs.run_folder import WRITTEN, Alone, discard
from secateur.sweeps.outcomes import ERROR_FILE

OF_A_RUN = ("record.json", "scores.json", "predictions.json", "secateur.log", "error.txt")


@pytest.mark.parametrize("name", [FILE_NAME, ERROR_FILE, SCORES, PREDICTIONS, VALIDATION, LOGS, MODEL])
def test_what_is_written_elsewhere_is_known_here(name: str) -> None:
    """The patterns stand by themselves, since the modules that write these files are heavy to import."""
    assert any(fnmatch(name, pattern) for pattern in WRITTEN)


def test_everything_of_a_run_is_deleted_but_its_lock(tmp_path: Path) -> None:
    for name in OF_A_RUN:
        (tmp_path / name).touch()
    for name in ("model", "steps/00-score", "figures", "logs/recover", "onnx", "model.partial"):
        (tmp_path / name).mkdir(parents=True)
    with Alone(tmp_path):
        discard(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".owner"}


def test_a_folder_with_anything_else_is_left_whole(tmp_path: Path) -> None:
    (tmp_path / "record.json").touch()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SecateurError, match=r"^force=true: .* contains thesis\.tex, which no run wrote; [^\n]*$"):
        discard(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "thesis.tex"}


def test_of_a_link_only_the_link_goes(tmp_path: Path) -> None:
    """A model that was moved to a larger disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/config.json").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model").symlink_to(tmp_path / "disk")
    discard(tmp_path / "run")
    assert not (tmp_path / "run/model").exists()
    assert (tmp_path / "disk/config.json").exists()
