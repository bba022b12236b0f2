"""How far document states move: hand-worked distances, fixed draws, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset

from secateur.analysis.document_states import (
    MOST_QUESTIONS,
    Movement,
    asked_together,
    distance_to_centroid,
    draw_movement,
)
from secateur.commands.analyze import main
from secateur.errors import SecateurError
from tests.small_runs import run

ROWS = Dataset.from_dict({"context": [*"aabcccb", *"d" * 7]})


def test_equal_states_do_not_move_and_right_angles_move_by_hand() -> None:
    """(1, 0) and (0, 1) have the centroid (1/2, 1/2): both are at an angle of 45° to it."""
    still = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(3, 2, 2)
    assert distance_to_centroid(still).item() == pytest.approx(0, abs=1e-12)
    turned = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert distance_to_centroid(turned).item() == pytest.approx(1 - 0.5**0.5)
    assert distance_to_centroid(torch.cat([still[:2], turned], dim=1)).item() == pytest.approx((1 - 0.5**0.5) / 3)


def test_documents_are_drawn_from_those_asked_about_twice_with_five_questions_at_most() -> None:
    everything = asked_together(ROWS, count=9, seed=1)
    assert sorted(everything) == [[0, 1], [2, 6], [3, 4, 5], [7, 8, 9, 10, 11]]
    assert MOST_QUESTIONS == 5
    assert asked_together(ROWS, count=2, seed=1) == asked_together(ROWS, count=2, seed=1)
    draws = {str(sorted(asked_together(ROWS, count=2, seed=seed))) for seed in range(10)}
    assert len(draws) > 1
    with pytest.raises(SecateurError, match=r"^documents=3: no document of the test split is asked about twice$"):
        asked_together(Dataset.from_dict({"context": ["a", "b"]}), count=3, seed=1)


def test_the_figure_has_a_line_for_each_model_over_all_layers() -> None:
    movement = Movement(distances=[[0.0, 0.0, 0.2], [0.0, 0.2, 0.4]])
    (axes,) = draw_movement({"reference": movement, "deformer": movement}, title="t").axes
    assert [line.get_label() for line in axes.lines] == ["reference", "deformer"]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([0.0, 0.1, 0.3])
    assert axes.get_ylim()[0] == 0


def test_other_tasks_numbers_and_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("dataset=toy_pairs", "dataset.generator.train=40", "dataset.generator.test=16", "model.epochs=1")
    _, folder = run("method=finetune", *settings, output=tmp_path)
    for count, message in (
        ("3", "dataset=toy_pairs is not extractive question answering"),
        ("0", "must be at least 1"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([str(folder), "--documents", count])
        assert str(stopped.value.code).endswith(message)
    for option in ("--layer", "--embeddings"):
        with pytest.raises(SystemExit):
            main([str(folder), "--documents", "3", option, "1"])
        assert capsys.readouterr().err.endswith(f"{option}: has no effect with --documents\n")
