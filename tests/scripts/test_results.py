"""docs/results: every page is what its records give, and the index has every page."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


def test_pages_are_what_their_records_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody edits a figure by hand, and a changed table is written anew: scripts/write_results."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    known = set(sys.modules)
    pages = dict(runpy.run_path(str(ROOT / "scripts" / "write_results"))["pages"]())
    for name in set(sys.modules) - known:
        if name.split(".")[0] in ("claiming", "circumstances", "benchmarking"):
            del sys.modules[name]
    written = {path.stem: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.md") if path.stem != "README"}
    assert sorted(pages) == sorted(written)
    assert [name for name, text in pages.items() if text != written[name]] == []
    index = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert [name for name in pages if f"({name}.md)" not in index] == []


def test_the_readme_s_figures_are_those_of_the_pages() -> None:
    """They are copied by hand, and must not outlive a page that was written anew."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [_cells(line) for line in readme.splitlines() if "](docs/results/" in line and line.startswith("|")]
    assert len(rows) == 3
    for method, sparsity, dense, f1, kept, speed, link in rows:
        page = RESULTS / Path(link.partition("](")[2].rstrip(")")).name
        table = [_cells(line) for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        head = next(cells for cells in table if "kept %" in cells)
        found = {tuple(cells[:2]): dict(zip(head, cells, strict=True)) for cells in table if len(cells) == len(head)}
        row = found[method, sparsity]
        assert (row["f1"], row["kept %"], row["speed-up"]) == (f1, kept, speed)
        assert found["dense", ""]["f1"] == dense


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
