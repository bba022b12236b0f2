"""What all tests share. Nothing here accesses a network; real data is read in place, or the test is skipped."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # as many workers as processors, one thread each
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # an idle OpenMP team that spins slows its neighbours down

import pytest

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data where there is none, and say so."""
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason="real data and weights are expected in ../shared, which is not there")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data sets and weights."""
    return SHARED
