"""A SLURM cluster of one node on this machine, started for these tests by ``scripts/slurm_node``."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "slurm_node"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
# Beside whatever cluster the machine may belong to, and other sessions of these tests.
PORT = str(20000 + 2 * (os.getpid() % 10000))


def why_not() -> str | None:
    """What is lacking for a cluster here."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "bringing up a SLURM node takes root"


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, str]]:
    """The environment of a shell that submits to the node."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="secateur-slurm-"))
    # munged runs as a user of its own, which has to get there.
    folder.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_"))}
    ours = {"SLURM_NODE_PORT": PORT, "SLURM_NODE_CPUS": "4", "SLURM_CONF": str(folder / "slurm.conf")}
    environment = {**clean, **ours, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    subprocess.run([SCRIPT, "start", folder], env=environment, check=True)
    try:
        yield environment
    finally:
        subprocess.run([SCRIPT, "stop", folder], env=environment, check=True)
        shutil.rmtree(folder, ignore_errors=True)
