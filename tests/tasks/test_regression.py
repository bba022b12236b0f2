"""Regression shares its inputs with classification; tested here is what differs: one output, its loss, its scores."""

from __future__ import annotations

import json

import pytest
import torch
from datasets import Value
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from secateur.data.examples import Examples
from secateur.data.task_data import TaskData
from secateur.errors import SecateurError
from secateur.tasks.regression import Regression
from tests.tasks.test_classification import make_examples, make_rows

VALUES = [0.0, 4.5, 1.25, 3.0, 5.0]


@pytest.fixture(scope="module")
def task() -> Regression:
    return Regression(metrics=["pearson", "spearman"], metric="average")


@pytest.fixture(scope="module")
def examples(task: Regression) -> Examples:
    return make_examples(task, make_rows(VALUES, Value("float32")))


def _model(**settings: object) -> BertForSequenceClassification:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=80, initializer_range=0.5, **shape, **settings)).eval()


def test_the_gold_values_on_any_scale_score_full_marks(task, examples):
    evaluator = task.evaluator(examples)
    for batch in TaskData({"test": examples}, eval_batch_size=2).eval_loader("test"):
        evaluator.update(SequenceClassifierOutput(logits=batch["labels"][:, None] / 5), batch)
    assert evaluator.scores() == pytest.approx({"pearson": 100, "spearman": 100, "average": 100}, abs=1e-3)
    predictions = json.loads(json.dumps(evaluator.predictions()))
    assert predictions == pytest.approx({f"row {number}": value / 5 for number, value in enumerate(VALUES)})


@pytest.mark.parametrize("items", [[0, 1, 2], [3]], ids=["batch", "one row"])
def test_forward_gives_the_mean_squared_error(task, examples, items):
    batch = examples.collate(items)
    outputs = task.forward(_model(**task.head_settings(examples)), batch)
    assert batch["labels"].tolist() == [VALUES[item] for item in items]
    assert torch.allclose(outputs["loss"], functional.mse_loss(outputs["logits"].squeeze(-1), batch["labels"]))
    (distilled,) = task.distilled(outputs, batch)
    assert distilled.is_value
    assert torch.equal(distilled.logits, outputs["logits"])


def test_a_head_of_several_outputs_is_refused_in_one_line(task, examples):
    task.check_head(_model(num_labels=1), examples, key="checkpoint=x")
    with pytest.raises(SecateurError, match=r"^checkpoint=x: the model has 3 outputs, but the data needs 1; [^\n]*$"):
        task.check_head(_model(num_labels=3), examples, key="checkpoint=x")


def test_metrics_are_those_of_values():
    with pytest.raises(SecateurError, match=r"^metrics=mcc: must be one of pearson, spearman$"):
        Regression(metrics=["mcc"], metric="mcc")
    with pytest.raises(SecateurError, match=r"^metric=average: must be one of metrics; here that is pearson$"):
        Regression(metrics=["pearson"], metric="average")
