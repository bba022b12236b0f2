"""Classification from rows to scores: heads match data, predictions match rows, mismatches are rejected."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from torch.nn import functional
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.task_data import TaskData
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.tasks.base import Evaluator
from secateur.tasks.classification import Classification

LENGTHS = Lengths(max_seq_length=16)
NAMES = ["entailment", "neutral", "contradiction"]
LABELS = [0, 2, 1, 1, 0]


def make_rows(labels: list[Any], feature: Any, *, parts: list[str] | None = None) -> Dataset:
    """Pairs of several lengths, so that batches are not in the order of the rows."""
    size = len(labels)
    rows = {
        "id": [f"row {number}" for number in range(size)],
        "title": [str(number) for number in range(size)],
        "text": [f"the hedge is {'very ' * (5 - number)}high" for number in range(size)],
        "text_pair": ["it was cut", "cut"] * (size // 2) + ["it"] * (size % 2),
        "part": parts or ["dev"] * size,
        "label": labels,
    }
    texts = dict.fromkeys(("id", "title", "text", "text_pair", "part"), Value("string"))
    return Dataset.from_dict(rows, features=Features({**texts, "label": feature}))


def make_examples(task: Classification, rows: Dataset) -> Examples:
    tokenizer = train_wordpiece(task.texts(rows), vocab_size=80)
    return task.examples(task.tokenize(rows, tokenizer, LENGTHS), tokenizer, LENGTHS)


@pytest.fixture(scope="module")
def task() -> Classification:
    return Classification(metrics=["accuracy", "f1"], metric="average")


@pytest.fixture(scope="module")
def examples(task: Classification) -> Examples:
    return make_examples(task, make_rows(LABELS, ClassLabel(names=NAMES)))


def _model(**settings: Any) -> BertForSequenceClassification:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(vocab_size=80, initializer_range=0.5, **shape, **settings)).eval()


def _oracle(batch: Batch, classes: int = 3) -> SequenceClassifierOutput:
    return SequenceClassifierOutput(logits=functional.one_hot(batch["labels"], classes).bfloat16())


def _judged(task: Classification, examples: Examples) -> Evaluator:
    evaluator = task.evaluator(examples)
    for batch in TaskData({"test": examples}, eval_batch_size=2).eval_loader("test"):
        evaluator.update(_oracle(batch), batch)
    return evaluator


def test_the_gold_labels_score_full_marks(task, examples):
    """And every prediction is of its row, whatever the order of the batches."""
    evaluator = _judged(task, examples)
    assert evaluator.scores() == pytest.approx({"accuracy": 100, "f1": 100, "average": 100})
    predictions = json.loads(json.dumps(evaluator.predictions()))
    assert predictions == {f"row {number}": NAMES[label] for number, label in enumerate(LABELS)}


def test_one_wrong_label_is_one_fifth_of_the_accuracy(task, examples):
    evaluator = _judged(task, examples)
    logits = torch.tensor([[0.0, 1.0, 0.0]])
    evaluator.update(SequenceClassifierOutput(logits=logits), {"items": torch.tensor([4])})
    assert evaluator.scores()["accuracy"] == pytest.approx(80)
    assert evaluator.predictions()["row 4"] == "neutral"


def test_both_test_sets_are_scored(task):
    rows = make_rows(LABELS, ClassLabel(names=NAMES), parts=["matched", "mismatched", "matched", "matched", "matched"])
    scores = _judged(task, make_examples(task, rows)).scores()
    names = {f"{metric}{part}" for metric in ("accuracy", "f1") for part in ("", "_matched", "_mismatched")}
    assert set(scores) == {*names, "average"}


def test_the_head_is_made_for_the_classes(task, examples):
    settings = task.head_settings(examples)
    config = BertConfig(**settings)
    assert config.num_labels == 3
    assert config.id2label == dict(enumerate(NAMES))
    assert config.problem_type == "single_label_classification"
    task.check_head(_model(**settings), examples, key="checkpoint=x")


def test_forward_gives_the_cross_entropy(task, examples):
    """Of a batch as the collator makes it, with keys that the model does not take."""
    batch = examples.collate([0, 1, 2])
    outputs = task.forward(_model(**task.head_settings(examples)), batch)
    assert torch.allclose(outputs["loss"], functional.cross_entropy(outputs["logits"], batch["labels"]))
    (distilled,) = task.distilled(outputs, batch)
    assert torch.equal(distilled.logits, outputs["logits"])
    assert distilled.mask is None
    assert not distilled.is_value


def _named(names: list[str]) -> BertForSequenceClassification:
    return _model(id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["no", "yes"], "the model has 2 outputs, but the data needs 3; give a model that was trained on this task"),
        (
            NAMES[::-1],
            "the model's labels are contradiction, neutral, entailment, the data's entailment, neutral, "
            r"contradiction; set their order with dataset\.task\.labels, or give a model that was trained on this task",
        ),
    ],
)
def test_a_head_for_other_labels_is_refused_in_one_line(task, examples, names, message):
    with pytest.raises(SecateurError, match=rf"^checkpoint=x: {message}$"):
        task.check_head(_named(names), examples, key="checkpoint=x")


def test_a_head_of_another_task_is_refused_in_one_line(task, examples):
    message = "a BertForQuestionAnswering does not fit this task; give an AutoModelForSequenceClassification"
    with pytest.raises(SecateurError, match=rf"^checkpoint=x: {message}$"):
        task.check_head(BertForQuestionAnswering(_model().config), examples, key="checkpoint=x")


def test_a_head_whose_labels_were_never_named_passes(task, examples):
    """As most models on the hub have it: their order is the user's word."""
    task.check_head(_model(num_labels=3), examples, key="checkpoint=x")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["acuracy"]}, "metrics=acuracy: must be one of accuracy, f1, mcc"),
        ({"metrics": ["pearson"]}, "metrics=pearson: must be one of accuracy, f1, mcc"),
        ({"metrics": []}, r"metrics=\[\]: must be a list of accuracy, f1, mcc"),
        ({"metrics": "f1"}, "metrics=f1: must be a list of accuracy, f1, mcc"),
        ({"metric": "f1"}, "metric=f1: must be one of metrics; here that is accuracy"),
        ({"metric": "average"}, "metric=average: must be one of metrics; here that is accuracy"),
        (
            {"metrics": ["mcc", "f1"], "metric": "acc"},
            "metric=acc: must be one of metrics; here that is mcc or f1 or average",
        ),
        ({"labels": ["yes"]}, r"labels=\['yes'\]: give a list of at least two names, all different, or null"),
        ({"labels": ["a", "b", "a"]}, r"labels=\['a', 'b', 'a'\]: give a list of at least two names"),
        ({"labels": "a,b"}, "labels=a,b: give a list of at least two names"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        Classification(**{"metrics": ["accuracy"], "metric": "accuracy", **settings})


def test_labels_that_yaml_takes_for_numbers_are_names():
    assert Classification(metrics=["mcc"], metric="mcc", labels=[1, 2]).labels == ["1", "2"]


def test_refuses_a_document_that_is_no_text_of_a_pair():
    with pytest.raises(SecateurError, match=r"^document=passage: must be text or text_pair$"):
        Classification(metrics=["accuracy"], metric="accuracy", document="passage")
