"""Masked language modelling: the head sees only masked tokens, each input has its own loss, scores are right."""

from __future__ import annotations

import math

import pytest
import torch
from datasets import Dataset
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, BertForMaskedLM, BertForPreTraining
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Lengths
from secateur.data.masked_inputs import MaskedTexts
from secateur.data.masking import IGNORED
from secateur.data.task_data import TaskData
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.methods.gain import batch_gain
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from secateur.tasks.masked_lm import MaskedLM
from tests.architectures import ARCHITECTURES

LENGTHS = Lengths(max_seq_length=24)
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
PAIRS, TEXTS = MaskedLM(), MaskedLM(next_sentence=False)


def _rows() -> Dataset:
    documents = ["\n".join(f"the door of house {n} is {'very ' * k}old" for k in range(1 + n % 5)) for n in range(10)]
    names = [f"d{n}" for n in range(10)]
    return Dataset.from_dict({"id": names, "title": names, "text": documents})


def _examples(task: MaskedLM) -> MaskedTexts:
    rows = _rows()
    tokenizer = train_wordpiece(task.texts(rows), vocab_size=100)
    made = task.examples(task.tokenize(rows, tokenizer, LENGTHS), tokenizer, LENGTHS)
    assert isinstance(made, MaskedTexts)
    return made


@pytest.fixture(scope="module")
def pairs() -> MaskedTexts:
    return _examples(PAIRS)


@pytest.fixture
def batch(pairs: MaskedTexts) -> Batch:
    """Inputs of different lengths."""
    batch = pairs.collate(list(range(0, len(pairs), 2)))
    assert not batch["attention_mask"].all()
    assert 0 < batch["next_sentence_label"].sum() < len(batch["items"])
    return batch


@pytest.fixture
def model() -> BertForPreTraining:
    """Weights wide enough that gradients are far above rounding."""
    torch.manual_seed(0)
    return BertForPreTraining(BertConfig(vocab_size=100, initializer_range=0.2, **SHAPE)).eval()


def _inputs(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}


def test_logits_are_the_model_s_own_at_hidden_tokens(model, batch):
    outputs = PAIRS.forward(model, batch)
    whole = model(**_inputs(batch))
    torch.testing.assert_close(outputs["logits"], whole.prediction_logits[batch["labels"] != IGNORED])
    torch.testing.assert_close(outputs["next_sentence_logits"], whole.seq_relationship_logits)
    assert whole.prediction_logits.shape[:2] == batch["labels"].shape  # nothing is left behind on the model


def test_the_loss_is_the_mean_of_each_input_s_own(model, batch, pairs):
    """That of an input by itself is what transformers computes for it."""
    losses = []
    for item in batch["items"].tolist():
        alone = pairs.collate([item])
        own = model(**_inputs(alone), labels=alone["labels"], next_sentence_label=alone["next_sentence_label"])
        losses.append(own.loss)
    torch.testing.assert_close(PAIRS.forward(model, batch)["loss"], torch.stack(losses).mean())


def test_the_gain_of_an_input_does_not_hang_on_its_company(model, batch, pairs):
    """One pass over a batch equals the sum of |∂L/∂γ| over passes with real gates, one input at a time."""
    found = batch_gain(model, PAIRS, batch)
    looped = [torch.zeros(count) for sizes in structure_sizes(model) for count in sizes]
    for item in batch["items"].tolist():
        gates = [torch.ones(len(total), requires_grad=True) for total in looped]
        with gated(model, PerGate(heads=tuple(gates[:2]), units=tuple(gates[2:]))):
            loss = PAIRS.forward(model, pairs.collate([item]))["loss"]
        for total, gradient in zip(looped, torch.autograd.grad(loss, gates), strict=True):
            total.add_(gradient.abs())
    ours, theirs = torch.cat([*found.heads, *found.units]), torch.cat(looped)
    torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.max().item(), rtol=0)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_s_head_takes_hidden_tokens_alone(model_type):
    config = AutoConfig.for_model(model_type, vocab_size=100, pad_token_id=0)
    config.update({**SHAPE, "hidden_dim": 24} if model_type == "distilbert" else SHAPE)
    model = AutoModelForMaskedLM.from_config(config).eval()
    batch = {**_examples(TEXTS).collate([0, 1, 2])}
    batch.pop("token_type_ids")
    outputs = TEXTS.forward(model, batch)
    torch.testing.assert_close(outputs["logits"], model(**_inputs(batch)).logits[batch["labels"] != IGNORED])
    outputs["loss"].backward()
    assert model.get_input_embeddings().weight.grad.any()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def _oracle(batch: Batch, *, wrong: bool) -> ModelOutput:
    """Certain of every token but, where ``wrong``, the first; of every pair but, where ``wrong``, the first."""
    labels = batch["labels"][batch["labels"] != IGNORED].clone()
    told = batch["next_sentence_label"].clone()
    if wrong:
        labels[0], told[0] = (labels[0] + 1) % 100, 1 - told[0]
    return ModelOutput(logits=50.0 * functional.one_hot(labels, 100), next_sentence_logits=functional.one_hot(told, 2))


def test_scores_count_all_tokens_and_all_pairs(pairs):
    evaluator = PAIRS.evaluator(pairs)
    hidden = 0
    for number, batch in enumerate(TaskData({"test": pairs}, eval_batch_size=5).eval_loader("test")):
        evaluator.update(_oracle(batch, wrong=number == 0), batch)
        hidden += int((batch["labels"] != IGNORED).sum())
    scores = evaluator.scores()
    assert list(scores) == ["mlm_accuracy", "mlm_loss", "perplexity", "nsp_accuracy"]
    assert scores["mlm_accuracy"] == pytest.approx(100 * (hidden - 1) / hidden)
    assert scores["mlm_loss"] == pytest.approx(50 / hidden)
    assert scores["perplexity"] == pytest.approx(math.exp(50 / hidden))
    assert scores["nsp_accuracy"] == pytest.approx(100 * (len(pairs) - 1) / len(pairs))
    predictions = evaluator.predictions()
    assert len(predictions) == len(pairs)
    assert sum(each["hidden"] for each in predictions) == hidden
    assert sum(not each["next_sentence_right"] for each in predictions) == 1
    (missed,) = [each for each in predictions if each["right"] < each["hidden"]]
    assert missed["loss"] == pytest.approx(50)


def test_without_pairs_there_is_no_score_of_them():
    examples = _examples(TEXTS)
    evaluator = TEXTS.evaluator(examples)
    batch = examples.collate([0])
    labels = batch["labels"][batch["labels"] != IGNORED]
    evaluator.update(ModelOutput(logits=functional.one_hot(labels, 100).float()), batch)
    assert "nsp_accuracy" not in evaluator.scores()
    assert "next_sentence_right" not in evaluator.predictions()[0]


def test_only_bert_predicts_next_sentences():
    PAIRS.check_architecture(BertConfig())
    for model_type in set(ARCHITECTURES) - {"bert"}:
        message = rf"^dataset\.task\.next_sentence=true: model_type={model_type} has no head for it; [^\n]*=false$"
        with pytest.raises(SecateurError, match=message):
            PAIRS.check_architecture(AutoConfig.for_model(model_type))
        TEXTS.check_architecture(AutoConfig.for_model(model_type))


def test_an_architecture_without_such_a_head_is_refused_with_those_that_have_one():
    message = r"^model_type=xlnet: has no AutoModelForMaskedLM; use one of bert, camembert, [^\n]+$"
    with pytest.raises(SecateurError, match=message):
        TEXTS.check_architecture(AutoConfig.for_model("xlnet"))


def test_a_model_fits_by_its_heads(model, pairs):
    PAIRS.check_head(model, pairs, key="checkpoint=x")
    with pytest.raises(
        SecateurError, match=r"^checkpoint=x: a BertForMaskedLM .*next_sentence=true; set it to false, "
    ):
        PAIRS.check_head(BertForMaskedLM(model.config), pairs, key="checkpoint=x")
    with pytest.raises(
        SecateurError, match=r"^checkpoint=x: a BertForPreTraining .*next_sentence=false; set it to true"
    ):
        TEXTS.check_head(model, pairs, key="checkpoint=x")


def test_stored_teachers_are_refused():
    with pytest.raises(
        SecateurError, match=r"^distillation=logits: .* every epoch, .*; set distillation=patient, .* or none$"
    ):
        PAIRS.check_distillation(key="distillation=logits")
