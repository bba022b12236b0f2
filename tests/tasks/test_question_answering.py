"""Extractive QA from rows to scores: pointing to the gold span gives full marks, whatever the windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BertTokenizer
from transformers.modeling_outputs import QuestionAnsweringModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.sources import Source
from secateur.data.task_data import TaskData
from secateur.data.toy_qa import toy_qa
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.tasks.base import Evaluator
from secateur.tasks.question_answering import QuestionAnswering

# So short that nearly every toy passage needs several windows.
LENGTHS = Lengths(max_seq_length=30, max_question_length=12, doc_stride=8)


def _task(rows: Dataset, **settings: int) -> tuple[QuestionAnswering, Examples]:
    task = QuestionAnswering(**settings)
    tokenizer = train_wordpiece(task.texts(rows), vocab_size=400)
    return task, task.examples(task.tokenize(rows, tokenizer, LENGTHS), tokenizer, LENGTHS)


def _toy(unanswerable: float) -> Dataset:
    return toy_qa(train=1, test=60, seed=0, unanswerable=unanswerable)["test"]


def _oracle(batch: Batch) -> QuestionAnsweringModelOutput:
    """Logits that are 10 at the labels and 0 elsewhere."""
    length = batch["input_ids"].shape[1]
    logits = {
        f"{name}_logits": 10 * functional.one_hot(batch[f"{name}_positions"], length).float()
        for name in ("start", "end")
    }
    return QuestionAnsweringModelOutput(**logits)


def _judged(task: QuestionAnswering, examples: Examples) -> Evaluator:
    evaluator = task.evaluator(examples)
    for batch in TaskData({"test": examples}, eval_batch_size=16).eval_loader("test"):
        evaluator.update(_oracle(batch), batch)
    return evaluator


def test_the_gold_spans_score_full_marks_on_squad_1():
    task, examples = _task(_toy(unanswerable=0))
    assert len(examples) > 1.5 * 60
    scores = _judged(task, examples).scores()
    assert (scores["em"], scores["f1"]) == (100, 100)


def test_the_gold_spans_score_full_marks_on_squad_2():
    """Unanswerable questions included: every one of their windows points at [CLS]."""
    task, examples = _task(_toy(unanswerable=0.4), version_2_with_negative=True)
    scores = _judged(task, examples).scores()
    assert (scores["em"], scores["f1"]) == (100, 100)


def test_predictions_are_in_the_official_form(tmp_path):
    """Question id to text, "" where there is no answer; as the official scorers read it from JSON."""
    rows = _toy(unanswerable=0.4)
    task, examples = _task(rows, version_2_with_negative=True)
    predictions = json.loads(json.dumps(_judged(task, examples).predictions()))
    golds = dict(zip(rows["id"], (answers["text"] for answers in rows["answers"]), strict=True))
    assert predictions == {row_id: texts[0] if texts else "" for row_id, texts in golds.items()}
    assert "" in predictions.values()


def test_unanswerable_questions_are_answered_in_squad_1():
    task, examples = _task(_toy(unanswerable=0.4))
    assert "" not in _judged(task, examples).predictions().values()


def test_max_answer_length_bounds_predictions():
    rows = _toy(unanswerable=0)
    task, examples = _task(rows, max_answer_length=1)
    predictions = _judged(task, examples).predictions()
    longest = max(len(answers["text"][0].split()) for answers in rows["answers"])
    assert max(len(text.split()) for text in predictions.values()) == 1 < longest


@pytest.mark.real_data
def test_the_gold_spans_of_the_real_dev_set_are_found(shared: Path):
    """What is lost are answers that begin or end inside a token, or are longer than 30 tokens."""
    task = QuestionAnswering()
    files = {"train": ["dev.json"], "test": ["dev.json"]}
    source = Source(name="squad_v1", data_dir=str(shared / "data" / "squad_v1"), file_names=files)
    rows = task.load_rows(source)["test"]
    rows = rows.select(range(0, len(rows), 25))  # from every article
    tokenizer = BertTokenizer.from_pretrained(shared / "data" / "vocab" / "bert-base-uncased")
    lengths = Lengths(max_seq_length=192, max_question_length=64, doc_stride=64)
    examples = task.examples(task.tokenize(rows, tokenizer, lengths), tokenizer, lengths)
    assert len(examples) > 1.2 * len(rows)
    scores = _judged(task, examples).scores()
    assert scores["em"] > 99
    assert scores["f1"] > 99.5


def _model() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForQuestionAnswering(BertConfig(vocab_size=400, initializer_range=0.5, **shape)).eval()


def test_forward_gives_the_mean_of_two_cross_entropies():
    """Of a batch as the collator makes it, with keys that the model does not take."""
    task, examples = _task(_toy(unanswerable=0.4))
    batch = examples.collate([0, 1, 2, 3])
    outputs = task.forward(_model(), batch)
    by_hand = [
        functional.cross_entropy(outputs[f"{name}_logits"], batch[f"{name}_positions"]) for name in ("start", "end")
    ]
    assert torch.allclose(outputs["loss"], sum(by_hand) / 2)


def test_padding_does_not_count_when_distributions_are_compared():
    task, examples = _task(_toy(unanswerable=0))
    batch = examples.collate([0, len(examples) - 1])
    outputs = task.forward(_model(), batch)
    start, end = task.distilled(outputs, batch)
    assert torch.equal(start.logits, outputs["start_logits"])
    assert torch.equal(end.logits, outputs["end_logits"])
    for distilled in (start, end):
        assert torch.equal(distilled.mask, batch["attention_mask"] == 1)


def test_a_model_fits_by_its_head():
    task, examples = _task(_toy(unanswerable=0))
    task.check_head(_model(), examples, key="checkpoint=x")
    with pytest.raises(SecateurError, match=r"^checkpoint=x: a BertForSequenceClassification does not fit this task"):
        task.check_head(BertForSequenceClassification(_model().config), examples, key="checkpoint=x")


def test_a_classifier_s_body_gets_a_head_of_two_outputs():
    """A config that names three labels would give it three."""
    task, examples = _task(_toy(unanswerable=0))
    config = _model().config
    config.num_labels = 3
    with pytest.raises(SecateurError, match=r"^checkpoint=x: the model has 3 outputs, but the data needs 2; [^\n]*$"):
        task.check_head(BertForQuestionAnswering(config), examples, key="checkpoint=x")
    assert BertForQuestionAnswering(BertConfig(**task.head_settings(examples))).qa_outputs.out_features == 2


@pytest.mark.parametrize("name", ["n_best_size", "max_answer_length"])
def test_bad_settings_are_refused_in_one_line(name):
    with pytest.raises(SecateurError, match=rf"^{name}=0: must be at least 1$"):
        QuestionAnswering(**{name: 0})
