"""Every method is run once, uninterrupted; the suite's tests look at what that left."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur.record import Record
from tests.contract.methods import METHODS, Row
from tests.small_runs import run


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all: methods share the predecessor in its store, as a sweep's jobs do."""
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="session", params=METHODS, ids=lambda row: row.id)
def row(request: pytest.FixtureRequest, output: Path) -> Row:
    """Each method in turn, some of them on several architectures."""
    return request.param.prepared(output)


@pytest.fixture(scope="session")
def finished(row: Row, output: Path) -> tuple[Record, Path]:
    """The method's record and run folder."""
    return run(*row.overrides, output=output)
