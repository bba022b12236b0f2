"""Steps in an order in which one lacks something, or loses it for the next, are refused before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.runs.building import check_buildable
from tests.small_runs import composed


def build(*overrides: str, output: Path) -> None:
    check_buildable(checked(composed(*overrides, output=output)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["method.order=[surgery,score,threshold,recover]"],
            "method.order: surgery needs gates; put a step that gives gates before it",
        ),
        (
            ["method.order=[threshold,score,surgery,recover]"],
            "method.order: threshold needs importance; put a step that gives importance before it",
        ),
        (
            ["method=heads", "method.order=[best_head,score,rank,curve,threshold,surgery]"],
            "method.order: best_head needs importance; put a step that gives importance before it",
        ),
        (
            ["method.order=[score,threshold,recover]", "~method.steps.surgery"],
            "method.order: recover would lose the gates set before it; put surgery between them",
        ),
        (
            ["method=l0", "method.order=[gate,threshold,recover,surgery]"],
            "method.order: recover would lose the gates set before it; put surgery between them",
        ),
    ],
)
def test_an_order_that_cannot_be_is_refused(overrides: Sequence[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SecateurError) as refused:
        build(*overrides, output=tmp_path)
    assert str(refused.value) == message


def test_gates_that_nothing_acts_on_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    no_more = ("~method.steps.surgery", "~method.steps.recover")
    with caplog.at_level(logging.WARNING, logger="secateur.runs.building"):
        build("method.order=[score,threshold]", *no_more, output=tmp_path)
    assert "nothing is removed from the model" in caplog.text
