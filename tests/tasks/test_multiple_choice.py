"""Multiple choice from rows to scores: padding options count nowhere, an example is all its options together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import BertConfig, BertForMultipleChoice, BertForSequenceClassification
from transformers.modeling_outputs import MultipleChoiceModelOutput

from secateur.data.choice_inputs import ChoiceInputs
from secateur.data.choices import FEATURES
from secateur.data.examples import Batch, Lengths
from secateur.data.task_data import TaskData
from secateur.data.vocabulary import train_wordpiece
from secateur.distillation.logits import kl_divergence
from secateur.errors import SecateurError
from secateur.methods.gain import batch_gain
from secateur.speed import accelerate_training
from secateur.speed.attention import ATTENTION
from secateur.structure.checkpoint import load
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from secateur.tasks.multiple_choice import MultipleChoice
from tests.small_runs import run

LENGTHS = Lengths(max_seq_length=24, max_question_length=10)
COLOURS = ["red", "green", "blue", "grey", "black"]
TASK = MultipleChoice()


def _rows() -> Dataset:
    """Twelve questions with two to five options, in two parts."""
    rows = []
    for number in range(12):
        article = (
            f"the door of house {number} is {COLOURS[number % 5]} and its roof is " + "very " * (number % 4) + "old."
        )
        options = [COLOURS[(number + shift) % 5] for shift in range(2 + number % 4)]
        row = {"id": f"q{number}", "title": article, "article": article, "question": "the door is _ ."}
        part = "high" if number < 8 else "middle"
        rows.append({**row, "options": options, "label": number % len(options), "part": part})
    return Dataset.from_list(rows, features=FEATURES)


@pytest.fixture(scope="module")
def examples() -> ChoiceInputs:
    rows = _rows()
    tokenizer = train_wordpiece(TASK.texts(rows), vocab_size=100)
    made = TASK.examples(TASK.tokenize(rows, tokenizer, LENGTHS), tokenizer, LENGTHS)
    assert isinstance(made, ChoiceInputs)
    return made


@pytest.fixture
def batch(examples: ChoiceInputs) -> Batch:
    """Questions with 2, 5, 3 and 4 options, inputs of different lengths."""
    batch = examples.collate([0, 3, 1, 6])
    assert batch["option_mask"].sum(-1).tolist() == [2, 5, 3, 4]
    assert not batch["attention_mask"].all()
    return batch


@pytest.fixture
def model() -> BertForMultipleChoice:
    """Weights wide enough that gradients are far above rounding."""
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return BertForMultipleChoice(BertConfig(vocab_size=100, initializer_range=0.2, **shape)).eval()


def test_the_logits_and_the_loss_are_those_of_each_question_by_itself(model, batch, examples):
    """Where nothing is filled up the model's own loss is right; the batch's is the mean of these."""
    outputs = TASK.forward(model, batch)
    losses = []
    for row, item in enumerate(batch["items"].tolist()):
        alone = examples.collate([item])
        own = model(**{name: alone[name] for name in ("input_ids", "attention_mask", "token_type_ids", "labels")})
        options = own["logits"].shape[-1]
        torch.testing.assert_close(outputs["logits"][row, :options], own["logits"][0])
        assert outputs["logits"][row].softmax(-1)[options:].sum() == 0
        losses.append(own["loss"])
    torch.testing.assert_close(outputs["loss"], torch.stack(losses).mean())


def test_options_that_are_none_teach_and_are_taught_nothing(model, batch):
    """No gradient reaches their inputs, neither from the task's loss nor from a teacher's."""
    embedded = []
    handle = model.bert.embeddings.register_forward_hook(lambda *hooked: embedded.append(hooked[-1]))
    outputs = TASK.forward(model, batch)
    handle.remove()
    (student,) = TASK.distilled(outputs, batch)
    teacher = student.logits.detach().flip(0)
    imitation = kl_divergence(student, type(student)(logits=teacher, mask=student.mask), temperature=2.0)
    for loss in (outputs["loss"], imitation):
        (gradient,) = torch.autograd.grad(loss, embedded, retain_graph=True)
        norms_BC = gradient.flatten(1).norm(dim=1).view(batch["option_mask"].shape)
        assert norms_BC[~batch["option_mask"]].eq(0).all()
        assert norms_BC[batch["option_mask"]].gt(0).all()


def test_the_gain_of_an_example_is_that_of_all_its_options(model, batch, examples):
    """One pass over a batch equals the sum of |∂L/∂γ| over passes with real gates, one question at a time."""
    found = batch_gain(model, TASK, batch)
    looped = [torch.zeros(count) for sizes in structure_sizes(model) for count in sizes]
    for item in batch["items"].tolist():
        gates = [torch.ones(len(total), requires_grad=True) for total in looped]
        with gated(model, PerGate(heads=tuple(gates[:2]), units=tuple(gates[2:]))):
            loss = TASK.forward(model, examples.collate([item]))["loss"]
        for total, gradient in zip(looped, torch.autograd.grad(loss, gates), strict=True):
            total.add_(gradient.abs())
    ours, theirs = torch.cat([*found.heads, *found.units]), torch.cat(looped)
    assert theirs.min() > 1e-4
    torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.max().item(), rtol=0)


def test_surgery_is_exact(model, batch):
    gates = PerGate(
        heads=(torch.tensor([0.0, 1.0]), torch.zeros(2)), units=((torch.arange(24) % 3 == 0).float(), torch.ones(24))
    )
    with torch.no_grad():
        with gated(model, gates):
            before = TASK.forward(model, batch)
        after = TASK.forward(shrink(model, gates), batch)
    torch.testing.assert_close(after["logits"], before["logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_trains_with_the_fast_dropout_and_attention(model, batch, bfloat16):
    """To them every option is a sequence of its own; those that are none, nearly empty, bring no NaN."""
    model.train()
    with accelerate_training(model), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        assert model.config._attn_implementation == ATTENTION
        loss, other = (TASK.forward(model, batch)["loss"] for _ in range(2))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss != other  # something was dropped
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    assert model.bert.embeddings.word_embeddings.weight.grad.any()


def _oracle(batch: Batch) -> MultipleChoiceModelOutput:
    return MultipleChoiceModelOutput(logits=functional.one_hot(batch["labels"], batch["input_ids"].shape[1]).float())


def test_scores_are_over_all_questions_and_by_part(examples):
    """High: 8 of 8; middle: 2 of 4, since two answers are turned around. All: 10 of 12, not the mean of the two."""
    evaluator = TASK.evaluator(examples)
    for batch in TaskData({"test": examples}, eval_batch_size=5).eval_loader("test"):
        outputs = _oracle(batch)
        for row, item in enumerate(batch["items"].tolist()):
            if item in {8, 11}:
                outputs["logits"][row] *= -1
        evaluator.update(outputs, batch)
    scores = {name: round(score, 3) for name, score in evaluator.scores().items()}
    assert scores == {"accuracy": 83.333, "accuracy_high": 100.0, "accuracy_middle": 50.0}
    predictions = json.loads(json.dumps(evaluator.predictions()))
    golds = {row["id"]: "ABCDE"[row["label"]] for row in _rows()}
    assert {name for name in golds if predictions[name] != golds[name]} == {"q8", "q11"}


def test_a_single_part_has_one_score(examples):
    high = ChoiceInputs(examples.rows.select(range(8)), examples.template, LENGTHS)
    evaluator = TASK.evaluator(high)
    batch = high.collate(list(range(8)))
    evaluator.update(_oracle(batch), batch)
    assert evaluator.scores() == {"accuracy": 100.0}


def test_a_model_fits_by_its_head(model, examples):
    TASK.check_head(model, examples, key="checkpoint=x")
    with pytest.raises(SecateurError, match=r"^checkpoint=x: a BertForSequenceClassification does not fit this task"):
        TASK.check_head(BertForSequenceClassification(model.config), examples, key="checkpoint=x")


def _write_race(path: Path, *, first: int, articles: int) -> None:
    lines = []
    for number in range(first, first + articles):
        colours = [COLOURS[(number + shift) % 5] for shift in range(3)]
        article = f"the door of house {number} is {colours[0]}. its wall is {colours[1]}."
        questions = {"questions": ["the door is _ .", "what is the wall?"], "answers": ["A", "B"]}
        lines.append({"id": f"{number}.txt", "article": article, "options": [colours, colours], **questions})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_from_race_files_to_a_model_that_answers_the_same(tmp_path):
    """Train, score heads and units, cut, recover against a teacher, score by part, weigh, time, load."""
    for name, first, articles in (("train.middle", 0, 40), ("dev.middle", 40, 4), ("dev.high", 44, 6)):
        _write_race(tmp_path / f"{name}.jsonl", first=first, articles=articles)
    record, folder = run(
        "dataset=race",
        f"dataset.data_dir={tmp_path}",
        "dataset.max_seq_length=32",
        "dataset.max_question_length=12",
        "model.vocabulary_size=150",
        "model.epochs=1",
        "method=gain",
        "distillation=logits",
        output=tmp_path / "outputs",
    )
    assert record.status == "finished"
    assert record.compressed is not None
    assert record.compressed.structure.heads_removed == 0.5
    assert set(record.compressed.scores) == {"accuracy", "accuracy_high", "accuracy_middle"}
    model = load(folder / "model")
    assert type(model).__name__.endswith("BertForMultipleChoice")
    predictions = json.loads((folder / "predictions.json").read_text())
    assert set(predictions) == {f"{number}.txt:{question}" for number in range(40, 50) for question in (1, 2)}
    assert set(predictions.values()) <= set("ABC")
