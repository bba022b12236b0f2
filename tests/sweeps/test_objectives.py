"""What a search maximises: scores on ``val`` only, within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from secateur.errors import SecateurError
from secateur.record import Cost, Latency, LatencyPair, ModelFigures, Percentiles, Record, find_records, read_record
from secateur.sweeps.objectives import OUT_OF_BOUNDS, BestScore, Frontier, costs_of
from tests.commands.test_compress import secateur


def record(*, validation: dict[str, float] | None) -> Record:
    """A model of half the parameters that takes a quarter of the time."""
    dense, ours = (Cost(parameters=n, encoder_parameters=n, flops={16: n, 32: 2 * n}, disk_bytes=n) for n in (100, 50))
    pair = LatencyPair(
        batch_size=1,
        length=16,
        dtype="float32",
        reference=Percentiles(p50=8.0, p90=9.0),
        compressed=Percentiles(p50=2.0, p90=3.0),
        repeats=5,
    )
    return Record(
        **{"status": "finished", "name": "r", "method": "gain", "model": "m", "dataset": "d", "distillation": "none"},
        **{"sparsity": 0.5, "seed": 1, "predecessor_seed": 1, "metric": "f1", "config": {}, "fingerprint": "f"},
        reference=ModelFigures(folder="a", scores={"f1": 99.0}, cost=dense),
        compressed=ModelFigures(folder="b", scores={"f1": 98.0}, cost=ours),
        latency=Latency(device="cpu", threads=1, beside_others=False, pairs=[pair]),
        validation=validation,
    )


def test_costs_are_fractions_of_the_references() -> None:
    assert costs_of(record(validation=None)) == {"latency": 0.25, "parameters": 0.5, "flops": 0.5, "disk_bytes": 0.5}


def test_the_score_is_that_on_val_within_bounds_and_less_than_any_beyond() -> None:
    found = record(validation={"f1": 80.0})
    assert BestScore(latency=0.3, parameters=0.5)(found) == 80.0
    slightly, far = BestScore(parameters=0.4)(found), BestScore(parameters=0.1)(found)
    assert far < slightly < -100.0


def test_a_frontier_has_the_score_and_each_cost() -> None:
    assert Frontier(costs=["latency", "parameters"])(record(validation={"f1": 80.0})) == (80.0, 0.25, 0.5)


def test_without_a_score_on_val_there_is_nothing_to_say() -> None:
    with pytest.raises(SecateurError, match=r"^r: has no score on val"):
        BestScore()(record(validation=None))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SecateurError, match=r"^latency=0: must be above 0"):
        BestScore(latency=0)
    with pytest.raises(SecateurError, match=r"^costs=weight: must be one of latency"):
        Frontier(costs=["weight"])


@pytest.mark.slow
def test_a_search_within_bounds_tries_several_at_a_time(tmp_path: Path) -> None:
    """A model beyond the bound never wins."""
    pytest.importorskip("optuna", reason="the extra search is not installed")
    asked = ("hparams_search=best_under_size", "method=random", "model.epochs=1", "sweep=s", "hydra/launcher=local")
    # A space of one's own: what is searched, and what is not, as it is said in any multirun.
    space = ("sparsity=choice(0.05,0.9)", "seed=choice(1,2)", "method.steps.recover.learning_rate=1e-4")
    done = secateur(*asked, "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2", *space, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    records = [read_record(path) for path in find_records(sweep)]
    within = [
        r.validation[r.metric] for r in records if r.compressed.cost.parameters <= r.reference.cost.parameters / 2
    ]
    best = OmegaConf.load(sweep / "optimization_results.yaml").best_value
    assert best == max(within) if within else best <= OUT_OF_BOUNDS
    assert {record.sparsity for record in records} <= {0.05, 0.9}
    assert {record.seed for record in records} <= {1, 2}
    assert {record.config["method"]["steps"]["recover"]["learning_rate"] for record in records} == {1e-4}


@pytest.mark.slow
def test_a_search_goes_on_until_it_has_its_trials(tmp_path: Path) -> None:
    """From the command line: it remembers what it tried, and says what nothing else beats."""
    pytest.importorskip("optuna", reason="the extra search is not installed")
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
