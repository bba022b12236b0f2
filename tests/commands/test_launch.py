"""What the commands share."""

from __future__ import annotations

import pytest
from pytorch_lightning.utilities.exceptions import SIGTERMException

from secateur.commands.launch import stopping_is_no_success


def test_a_process_that_was_told_to_stop_does_not_end_as_if_it_were_done() -> None:
    with pytest.raises(SystemExit) as ended, stopping_is_no_success():
        raise SIGTERMException
    assert ended.value.code == 143


@pytest.mark.parametrize("code", [1, 144])
def test_other_exit_codes_stay_as_they_are(code: int) -> None:
    with pytest.raises(SystemExit) as ended, stopping_is_no_success():
        raise SystemExit(code)
    assert ended.value.code == code


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, SIGTERMException])
def test_says_how_to_go_on(stopped: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)), stopping_is_no_success():
        raise stopped
    assert "repeat the command to continue" in caplog.text
