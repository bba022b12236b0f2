"""Which trainer settings are refused once the number of processes is known."""

from __future__ import annotations

import pytest

from secateur.errors import SecateurError
from secateur.training.trainer import check_strategy

FINDING = "ddp_find_unused_parameters_true"


def settings(strategy: str) -> dict[str, object]:
    return {"strategy": strategy, "devices": 2}


def test_several_processes_say_how_they_train_together() -> None:
    """Lightning would choose by itself, and each process would take itself for the only one."""
    check_strategy(settings("auto"), processes=1, skipping=True)
    check_strategy(settings("ddp"), processes=2, skipping=False)
    with pytest.raises(SecateurError, match=rf"^trainer\.strategy=auto: [^\n]+trainer\.strategy={FINDING}, or [^\n]+$"):
        check_strategy(settings("auto"), processes=2, skipping=False)


def test_layers_that_are_left_out_of_a_batch_are_not_waited_for() -> None:
    check_strategy(settings(FINDING), processes=2, skipping=True)
    with pytest.raises(SecateurError, match=rf"^trainer\.strategy=ddp: [^\n]+ set trainer\.strategy={FINDING}$"):
        check_strategy(settings("ddp"), processes=2, skipping=True)
