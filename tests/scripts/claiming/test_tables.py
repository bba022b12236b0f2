"""Tables and figures of a page say what the records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from secateur.configuration import naming
from secateur.record import Latency, ModelFigures, Record, StepRecord, Structure
from tests.scripts.claiming.test_commands import compose_one
from tests.scripts.claiming.test_evidence import toy_rows
from tests.test_record import make, pair


def finished(method: str, dataset: str, score: float, **changes: Any) -> Record:
    own = {name: changes.pop(name) for name in ("init",) if name in changes}
    config = {"method": {"name": method, "order": changes.pop("order", ["remove", "recover"]), **own}}
    reference = ModelFigures(folder="dense", scores={"accuracy": 80.0}, structure=Structure(heads=[4] * 6))
    compressed = ModelFigures(folder="model", scores={"accuracy": score}, structure=Structure(heads=[4] * 3))
    known = {"method": method, "dataset": dataset, "metric": "accuracy", "config": config, "distillation": "none"}
    return make(**(known | {"reference": reference, "compressed": compressed, "steps": [], "latency": None} | changes))


def test_tasks_stand_beside_each_other_with_their_mean_and_what_is_kept() -> None:
    from claiming.tables import tasks_table

    records = [
        finished("theseus", "rte", 70.0, seed=1),
        finished("theseus", "rte", 74.0, seed=2),
        finished("theseus", "mrpc", 60.0, seed=1),
        finished("truncate", "rte", 64.0, distillation="patient"),
        finished("truncate", "rte", 60.0, init="pretrained"),
        finished("truncate", "rte", 1.0, order=["remove"]),
    ]
    lines = tasks_table(records).splitlines()
    assert lines[2] == "| method | layers | mrpc | rte | mean | kept % | speed-up |"
    assert lines[4] == "| dense | 6 | 80.0 | 80.0 | 80.0 | 100.0 |  |"
    assert lines[5] == "| theseus | 3 | 60.0 | 72.0 ± 2.8 (2) | 66.0 | 82.5 |  |"
    assert lines[6] == "| truncate + patient | 3 |  | 64.0 |  |  |  |"
    assert lines[7] == "| truncate, from the pretrained model | 3 |  | 60.0 |  |  |  |"
    assert len(lines) == 8


def test_dense_models_that_two_processors_trained_are_averaged() -> None:
    from claiming.tables import tasks_table

    elsewhere = ModelFigures(folder="dense", scores={"accuracy": 70.0}, structure=Structure(heads=[4] * 6))
    records = [
        finished("theseus", "rte", 70.0, seed=1, machine={"processor": "one"}),
        finished("theseus", "rte", 74.0, seed=2, machine={"processor": "one"}),
        finished("theseus", "rte", 72.0, seed=3, machine={"processor": "another"}, reference=elsewhere),
    ]
    assert tasks_table(records).splitlines()[4] == "| dense | 6 | 75.0 ± 7.1 (2) | 75.0 | 100.0 |  |"


def test_models_of_as_many_layers_have_one_speed() -> None:
    """They are of one shape: what their timings differ by is noise."""
    from claiming.tables import tasks_table

    def timed(compressed: float) -> Latency:
        latency = make().latency
        assert latency is not None
        at_32 = pair(reference=30.0, compressed=compressed).model_copy(update={"batch_size": 32})
        return latency.model_copy(update={"pairs": [at_32]})

    records = [
        finished("theseus", "rte", 70.0, latency=timed(15.0)),
        finished("truncate", "rte", 64.0, latency=timed(12.0)),
    ]
    lines = tasks_table(records).splitlines()
    assert lines[5:] == ["| theseus | 3 | 70.0 | 70.0 | 87.5 | 2.25 |", "| truncate | 3 | 64.0 | 64.0 | 80.0 | 2.25 |"]


def test_a_model_that_went_to_another_task_stands_beside_the_dense_one() -> None:
    from claiming.tables import transfer_table

    below = finished("theseus", "sst2", 85.0, name="below")
    elsewhere = [
        finished("finetune", "rte", score, name=str(score), parents=["below"], order=[]) for score in (52.0, 54.0)
    ]
    lines = transfer_table([below, *elsewhere]).splitlines()
    assert lines[2] == "| method | compressed on | fine-tuned on | score | dense |"
    assert lines[4:] == ["| theseus | sst2 | rte | 53.0 ± 1.4 (2) | 80.0 ± 0.0 (2) |"]
    assert transfer_table([below]) == ""


def replaced_alone(**scores: float) -> Record:
    """A run in which the modules were replaced one by one."""
    mixes = [{"replaced": [], "scores": {"accuracy": 80.0}}]
    mixes += [{"replaced": [number], "scores": {"accuracy": score}} for number, score in enumerate(scores.values())]
    step = StepRecord(name="replace", seconds=1.0, details={"mixes": mixes})
    return finished("theseus", "rte", 70.0, steps=[step], order=["replace"])


def test_the_first_modules_cost_is_held_against_every_other() -> None:
    from claiming.figures import first_module_costs

    assert first_module_costs(replaced_alone(first=70.0, second=76.0, third=79.0)) == 6.0
    assert first_module_costs(replaced_alone(first=70.0, second=65.0, third=79.0)) == -5.0
    assert first_module_costs(finished("theseus", "rte", 70.0)) is None


def test_modules_replaced_alone_stand_beside_each_other() -> None:
    from claiming.tables import modules_table

    lines = modules_table([replaced_alone(first=70.0, second=76.0), replaced_alone(first=72.0, second=76.0)])
    assert lines.splitlines()[2:] == [
        "| data set | none | module 1 | module 2 |",
        "| --- | --- | --- | --- |",
        "| rte | 80.0 ± 0.0 (2) | 71.0 ± 1.4 (2) | 76.0 ± 0.0 (2) |",
    ]
    assert modules_table([finished("theseus", "rte", 70.0)]) == ""


def test_a_classification_has_100_points_where_it_is_right(tmp_path: Path) -> None:
    from claiming.points import score_questions

    config = compose_one("dataset=toy_pairs", "dataset.generator.test=6", "dataset.generator.train=40")
    rows = toy_rows(config)
    names = rows.features["label"].names
    said = {key: names[label] for key, label in zip(rows["id"], rows["label"], strict=True)}
    wrong = sorted(said)[0]
    said[wrong] = next(name for name in names if name != said[wrong])
    (tmp_path / "predictions.json").write_text(json.dumps(said))
    found = ModelFigures(folder="model", scores={"accuracy": 100 * 5 / 6})
    kept = score_questions(make(config=naming.resolved(config), compressed=found, steps=[]), tmp_path)
    assert kept.points == {"final": [0.0] + [100.0] * 5}
