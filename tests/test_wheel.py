"""The built wheel works in an empty folder, with its configs inside, and accepts a user's own configs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.small_runs import small


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents: what pip would put into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def secateur(*overrides: str, site: Path, cwd: Path) -> str:
    # -P and PYTHONPATH: the unpacked wheel goes before the checkout that is installed for the tests.
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "secateur", *overrides]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_runs_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    secateur(*small("method=random", "sparsity=0.5", "model.epochs=1"), site=unpacked, cwd=tmp_path)
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert (folder / "record.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_brings_what_the_page_of_the_report_is_made_of(unpacked: Path) -> None:
    report = Path("secateur", "report")
    made_of = [
        path.name
        for path in (REPOSITORY / "src" / report / "page").iterdir()
        if path.suffix in (".html", ".css", ".js")
    ]
    assert len(made_of) == 10 and (unpacked / report / "published.yaml").is_file()
    assert all((unpacked / report / "page" / name).is_file() for name in made_of)


def test_takes_a_users_own_options(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tinier.yaml").write_text("defaults: [tiny, _self_]\nname: tinier\n")
    shown = secateur(
        "model=tinier", f"hydra.searchpath=[file://{tmp_path / 'mine'}]", "--cfg", "job", site=unpacked, cwd=tmp_path
    )
    assert "name: tinier" in shown
    assert "name: gain" in shown
