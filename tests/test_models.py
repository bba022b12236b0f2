"""Initial models: random weights are determined by the seed, heads are fresh, and misfits are refused early."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertConfig,
    BertForPreTraining,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from secateur.configuration.schema import ModelConfig
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.models import check_model, checkpoint_fingerprint, fresh_model, tokenizer_of
from secateur.structure.anatomy import layers_of
from secateur.structure.checkpoint import load, save_model
from secateur.structure.fixed_zeros import declare_fixed_zeros, masks_of
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ARCHITECTURES

TASK = "AutoModelForQuestionAnswering"
TEXTS = ["who cut the hedge in the old garden?", "the gardener cut it with the new secateurs."] * 3
ARCHITECTURE = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}


def model_config(**changes: Any) -> ModelConfig:
    """A model of random weights, or with ``checkpoint=`` one from a folder."""
    settings = {"name": "small", "checkpoint": None, "architecture": ARCHITECTURE, "vocabulary_size": 60, **changes}
    training = {"learning_rate": 1e-3, "weight_decay": 0.0, "warmup_ratio": 0.1, "batch_size": 8, "epochs": 1}
    return ModelConfig(**settings, **training)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_wordpiece(TEXTS, vocab_size=60)


@pytest.fixture
def folder(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> Path:
    """A checkpoint that was fine-tuned for the same task: its head has weights of its own."""
    model = _fresh(model_config(), tokenizer, seed=5)
    with torch.no_grad():
        model.qa_outputs.weight.fill_(3.0)
        model.qa_outputs.bias.fill_(3.0)
    save_model(model, tokenizer, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_tests_reach_for_no_network():
    assert huggingface_hub.constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 5}, r"model\.architecture\.num_attention_heads=5: must divide hidden_size=16"),
        ({"num_attention_heads": 0}, r"model\.architecture\.num_attention_heads=0: must divide hidden_size=16"),
        ({"max_position_embeddings": 15}, r"dataset\.max_seq_length=16: beyond the 15 positions of the model"),
        ({"model_type": "gpt2"}, r"model\.architecture\.model_type=gpt2: must be one of bert\b"),
        ({"model_type": None}, r"model\.architecture\.model_type=None: must be one of bert\b"),
        (
            {"model_type": "distilbert", "hidden_dim": 8},
            r"model\.architecture\.hidden_dim: unknown key; it is called intermediate_size",
        ),
        (
            {"model_type": "distilbert", "activatoin": "relu"},
            r"model\.architecture\.activatoin: unknown key; known keys: .*hidden_act, hidden_dropout_prob, hidden_size",
        ),
        (
            {"model_type": "roberta", "max_position_embeddings": 16},
            r"dataset\.max_seq_length=16: beyond the 15 positions of the model",
        ),
        ({"hiden_size": 8}, r"model\.architecture\.hiden_size: unknown key; did you mean hidden_size\?"),
        ({"hidden_size": "big"}, r"model\.architecture: .*'hidden_size' expected int, got str"),
    ],
)
def test_refuses_architectures_that_cannot_be_in_one_line(changes, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        check_model(model_config(architecture={**ARCHITECTURE, **changes}), max_seq_length=16)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_an_architecture_s_settings_are_called_as_bert_s_are(model_type, tokenizer):
    settings = {**ARCHITECTURE, "model_type": model_type, "hidden_dropout_prob": 0.3, "hidden_act": "relu"}
    check_model(model_config(architecture=settings), max_seq_length=31)
    model = _fresh(model_config(architecture=settings), tokenizer, seed=1)
    assert model.config.model_type == model_type
    assert structure_sizes(model) == ([4, 4], [24, 24])
    assert model.base_model.embeddings.dropout.p == 0.3
    assert any(isinstance(module, torch.nn.ReLU) for module in layers_of(model).modules())


@pytest.mark.parametrize("missing", ["architecture", "vocabulary_size"])
def test_random_weights_need_a_shape_and_a_vocabulary(missing):
    with pytest.raises(SecateurError, match=r"^model\.checkpoint=null: give a checkpoint, or [^\n]*$"):
        check_model(model_config(**{missing: None}), max_seq_length=16)


def test_the_longest_input_may_fill_every_position():
    check_model(model_config(), max_seq_length=32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_type": "gpt2"}, r"model_type='gpt2' is not supported; supported architectures: bert\b"),
        ({"model_type": "bert", "max_position_embeddings": 8}, r"dataset\.max_seq_length=16: beyond the 8 positions"),
        ({"model_type": "hedge"}, r"model\.checkpoint=PLACE: its config\.json is unusable: .*`hedge`"),
        ("{", r"model\.checkpoint=PLACE: its config\.json is unusable: .*not a valid JSON file"),
        (None, r"model\.checkpoint=PLACE: contains no config\.json, so it is not a checkpoint"),
    ],
    ids=["unsupported", "too short", "unknown", "damaged", "empty"],
)
def test_refuses_folders_that_hold_no_usable_model(tmp_path, content, message):
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    message = message.replace("PLACE", re.escape(str(tmp_path)))
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        check_model(model_config(checkpoint=str(tmp_path)), max_seq_length=16)


def test_refuses_a_file_and_a_name_that_leads_nowhere(folder):
    """A hub name looks like a relative path: both readings are offered."""
    with pytest.raises(SecateurError, match=r"config\.json: contains no config\.json, so it is not a checkpoint"):
        check_model(model_config(checkpoint=str(folder / "config.json")), max_seq_length=16)
    message = r"^model\.checkpoint=no/such: neither a folder nor a hub model that can be reached; [^\n]*$"
    with pytest.raises(SecateurError, match=message):
        check_model(model_config(checkpoint="no/such"), max_seq_length=16)


def test_random_weights_follow_from_the_seed_and_fit_the_vocabulary(tokenizer):
    one, same, other = (_fresh(model_config(), tokenizer, seed=seed) for seed in (1, 1, 2))
    assert _same(one, same)
    assert not any(_same(one.bert.encoder.layer[layer], other.bert.encoder.layer[layer]) for layer in (0, 1))
    assert one.bert.embeddings.word_embeddings.num_embeddings == len(tokenizer)
    assert one.config.pad_token_id == tokenizer.pad_token_id


def test_a_checkpoint_s_body_is_kept_and_its_head_drawn_anew(folder, tokenizer):
    """Although its weights would fit; anew for each seed, the same for the same."""
    settings = model_config(checkpoint=str(folder))
    one, same, other = (_fresh(settings, tokenizer, seed=seed) for seed in (1, 1, 2))
    for model in (one, same, other):
        assert _same(model.bert, load(folder).bert)
        assert model.qa_outputs.weight.std() < 0.1
        assert model.qa_outputs.bias.eq(0).all()
        assert all(weight.requires_grad for weight in model.parameters())
    assert one.qa_outputs.weight.equal(same.qa_outputs.weight)
    assert not one.qa_outputs.weight.equal(other.qa_outputs.weight)


def test_a_checkpoint_without_a_head_gets_one(tokenizer, tmp_path):
    """As pretrained encoders come."""
    body = BertModel(
        BertConfig(vocab_size=len(tokenizer), **{k: v for k, v in ARCHITECTURE.items() if k != "model_type"})
    )
    body.save_pretrained(tmp_path)
    settings = model_config(checkpoint=str(tmp_path))
    one, same, other = (_fresh(settings, tokenizer, seed=seed) for seed in (1, 1, 2))
    assert type(one) is AutoModelForQuestionAnswering._model_mapping[BertConfig]
    assert one.bert.encoder.layer[1].output.dense.weight.equal(body.encoder.layer[1].output.dense.weight)
    assert one.qa_outputs.weight.equal(same.qa_outputs.weight)
    assert not one.qa_outputs.weight.equal(other.qa_outputs.weight)


def test_an_uneven_checkpoint_keeps_its_shape_under_a_fresh_head(folder, tokenizer, tmp_path):
    gates = PerGate(
        heads=(torch.zeros(4), torch.tensor([1.0, 1, 0, 1])), units=(torch.ones(24), (torch.arange(24) < 5).float())
    )
    save_model(shrink(load(folder), gates), tokenizer, tmp_path / "uneven")
    check_model(model_config(checkpoint=str(tmp_path / "uneven")), max_seq_length=32)
    model = _fresh(model_config(checkpoint=str(tmp_path / "uneven")), tokenizer, seed=1)
    assert structure_sizes(model) == ([0, 3], [24, 5])
    assert model.qa_outputs.weight.std() < 0.1


def test_a_checkpoint_brings_its_own_vocabulary(folder, tokenizer):
    """Also under a model whose settings, such as the tiny one's, name the size of one to be trained."""
    found = tokenizer_of(model_config(checkpoint=str(folder)), ["other words altogether, quite unlike"])
    assert found.get_vocab() == tokenizer.get_vocab()
    trained = tokenizer_of(model_config(), ["other words altogether, quite unlike"])
    assert trained.get_vocab() != tokenizer.get_vocab()


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_tokenizers_offer_what_the_architecture_takes(model_type, tokenizer, tmp_path):
    """DistilBERT's checkpoints come with BERT's tokenizer, whose token types its ``forward`` would not understand."""
    settings = model_config(architecture={**ARCHITECTURE, "model_type": model_type})
    trained = tokenizer_of(settings, TEXTS)
    save_model(_fresh(settings, tokenizer, seed=1), tokenizer, tmp_path)
    loaded = tokenizer_of(model_config(checkpoint=str(tmp_path)), TEXTS)
    for found in (trained, loaded):
        assert ("token_type_ids" in found("who", "cut")) is (model_type in {"bert", "electra"})


def test_a_random_xlnet_learns_a_unigram_vocabulary_and_keeps_no_memories():
    sizes = {name: value for name, value in ARCHITECTURE.items() if name != "max_position_embeddings"}
    settings = model_config(architecture={**sizes, "model_type": "xlnet", "hidden_dropout_prob": 0.3})
    check_model(settings, max_seq_length=4096)
    tokenizer = tokenizer_of(settings, TEXTS)
    assert tokenizer("who", "cut")["token_type_ids"][-1] == 2
    model = _fresh(settings, tokenizer, seed=1)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert (model.config.use_mems_eval, model.base_model.dropout.p) == (False, 0.3)
    assert structure_sizes(model) == ([4, 4], [24, 24])


def test_fingerprint_is_of_what_a_checkpoint_holds(folder, tmp_path):
    """Not of where it lies or what is said of it."""
    found = checkpoint_fingerprint(folder)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("A model.", encoding="utf-8")
    assert checkpoint_fingerprint(str(copy)) == found
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        changed = tmp_path / f"changed-{name}"
        shutil.copytree(folder, changed)
        with (changed / name).open("ab") as file:
            file.write(b" ")
        assert checkpoint_fingerprint(changed) != found, name


def test_fingerprint_of_a_hub_model_is_its_name_and_revision():
    names = [checkpoint_fingerprint("a/b"), checkpoint_fingerprint("a/c"), checkpoint_fingerprint("a/b", revision="x")]
    assert len(set(names)) == 3


def _fresh(settings: ModelConfig, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    return fresh_model(settings, auto_class=TASK, head={}, tokenizer=tokenizer, seed=seed)


def _same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(ours.equal(theirs) for ours, theirs in pairs)


def test_a_language_model_s_heads_start_fresh_on_a_body_that_has_none(tokenizer, tmp_path):
    """The body is kept; the output is tied to the embeddings; what is random follows from the seed."""
    torch.manual_seed(3)
    body = BertModel(BertConfig(**{**ARCHITECTURE, "model_type": "bert"}, vocab_size=len(tokenizer)))
    save_model(body, tokenizer, tmp_path / "body")

    def fresh(seed: int) -> Any:
        model = model_config(checkpoint=str(tmp_path / "body"))
        settings = {"auto_class": "AutoModelForPreTraining", "head": {}, "tokenizer": tokenizer, "keep_head": True}
        return fresh_model(model, **settings, seed=seed)

    one, same, other = (fresh(seed) for seed in (1, 1, 2))
    assert _same(one.bert, body)
    assert one.cls.predictions.decoder.weight is one.bert.embeddings.word_embeddings.weight
    assert _same(one.cls, same.cls)
    assert not _same(one.cls, other.cls)


def test_a_language_model_without_a_pooler_leaves_out_what_is_declared_of_it(tokenizer, tmp_path):
    """As where a model goes on without next-sentence prediction."""
    whole = BertForPreTraining(BertConfig(**{**ARCHITECTURE, "model_type": "bert"}, vocab_size=len(tokenizer)))
    names = ["pooler.dense.weight", "encoder.layer.0.output.dense.weight"]
    with torch.no_grad():
        for name in names:
            whole.bert.get_parameter(name)[:4] = 0
    declare_fixed_zeros(whole, names)
    save_model(whole, tokenizer, tmp_path / "whole")
    model = model_config(checkpoint=str(tmp_path / "whole"))
    settings = {"auto_class": "AutoModelForMaskedLM", "head": {}, "tokenizer": tokenizer, "keep_head": True}
    found = fresh_model(model, **settings, seed=1)
    assert list(masks_of(found)) == names[1:]
