"""A search from the command line: it tries, remembers, goes on, and says what was best."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from secateur.record import find_records, read_record
from tests.test_compress import secateur

pytest.importorskip("optuna", reason="the extra search is not installed")
pytestmark = pytest.mark.slow


def test_a_search_goes_on_until_it_has_its_trials(tmp_path: Path) -> None:
    asked = ("hparams_search=frontier", "method=random", "model.epochs=1", "sweep=s")
    first = secateur(*asked, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    assert len(find_records(sweep)) == 2
    second = secateur(*asked, "hydra.sweeper.n_trials=3", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "study s: 2 of 3 trials are finished" in second.stdout
    records = [read_record(path) for path in find_records(sweep)]
    assert len(records) == 3
    values = [(record.validation[record.metric], 1 / record.latency.pairs[0].speedup) for record in records]
    best = OmegaConf.load(sweep / "optimization_results.yaml").solutions
    assert 1 <= len(best) <= 3
    assert {tuple(solution["values"]) for solution in best} <= set(values)
