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
