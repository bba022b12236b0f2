"""Tokens are made once for each data set and vocabulary, and their key contains everything they depend on."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from datasets import DatasetDict
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerBase

from secateur.configuration.schema import DatasetConfig, ModelConfig
from secateur.data.question_windows import QuestionWindows
from secateur.data.sources import Source
from secateur.data.task_data import TaskData
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.models import fresh_model
from secateur.runs.prepared_data import prepare
from secateur.structure.checkpoint import save_model
from secateur.tasks.question_answering import QuestionAnswering

NAMES = ("Ada", "Boris", "Clara", "Dmitri")
TINY = ModelConfig(name="tiny", checkpoint=None, architecture={"model_type": "bert"}, vocabulary_size=120)


class _NeverReads(QuestionAnswering):
    def load_rows(self, source: Source) -> DatasetDict:
        raise AssertionError(f"{source.name} is in the store already")


def _write(path: Path, count: int, *, place: str = "London") -> str:
    rows = [
        {
            "title": f"article {number % 10}",
            "context": f"{NAMES[number % 4]} moved from {place} to town {number} in the year {1900 + number}.",
            "question": f"When did {NAMES[number % 4]} move to town {number}?",
            "answer": str(1900 + number),
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    """40 training questions on 10 articles, 12 test questions."""
    return DatasetConfig(
        name="moves",
        hub=None,
        hub_config=None,
        revision=None,
        hub_test_split="validation",
        data_dir=None,
        train_files=_write(tmp_path / "train.jsonl", 40),
        test_files=_write(tmp_path / "test.jsonl", 12, place="Zürich ☃"),
        file_names={},
        columns={},
        generator=None,
        limit_train=None,
        limit_test=None,
        max_seq_length=48,
        max_question_length=16,
        doc_stride=8,
        task={"_target_": "secateur.tasks.question_answering.QuestionAnswering"},
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _prepare(
    dataset: DatasetConfig, store: Path, model: ModelConfig = TINY, task: QuestionAnswering | None = None
) -> tuple[TaskData, PreTrainedTokenizerBase]:
    return prepare(dataset, model, task or QuestionAnswering(), store=store, eval_batch_size=5)


def _entries(store: Path) -> list[str]:
    return [path.name for path in (store / "tokens").iterdir() if path.is_dir()]


def _batches(data: TaskData, split: str) -> list[dict[str, Any]]:
    loader = data.eval_loader(split)
    return [{name: torch.as_tensor(values).tolist() for name, values in batch.items()} for batch in loader]


def test_the_second_run_reads_no_rows(dataset, store):
    """And gets the same batches, the same vocabulary."""
    data, tokenizer = _prepare(dataset, store)
    again, same_tokenizer = _prepare(dataset, store, task=_NeverReads())
    assert len(_entries(store)) == 1
    for split in ("train", "val", "test"):
        assert _batches(data, split) == _batches(again, split)
    assert same_tokenizer.get_vocab() == tokenizer.get_vocab()


def test_tokens_of_questions_without_an_answer_serve_only_where_these_are_scored(dataset, store, tmp_path):
    """Tokens are the same whatever the scores, so those in the store are looked at as well."""
    row = {"id": "x5", "title": "t", "context": "Ada moved.", "question": "Who stayed?", "answer": ""}
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps(row))
    with pytest.raises(SecateurError, match=r"test\.jsonl: row 13: has no answer"):
        _prepare(dataset, store)
    _prepare(dataset, store, task=QuestionAnswering(version_2_with_negative=True))
    with pytest.raises(SecateurError, match=r"^question x5: has no answer, [^\n]*version_2_with_negative=true"):
        _prepare(dataset, store, task=_NeverReads())


def test_weights_that_cannot_be_had_are_reported_before_rows_are_read(dataset, store, tmp_path, monkeypatch):
    """Of this checkpoint the cache holds the configuration alone, as after a download that was interrupted."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1"
    BertConfig().save_pretrained(snapshot)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("1")
    model = ModelConfig(name="b", checkpoint="a/b")
    message = r"^model\.checkpoint=a/b: its WHAT cannot be read from the cache or the hub \([^\n]*; repeat the command"
    with pytest.raises(SecateurError, match=message.replace("WHAT", "weights")):
        _prepare(dataset, store, model, task=_NeverReads())
    assert not any(store.glob("tokens/*.partial"))
    (snapshot / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(SecateurError, match=message.replace("WHAT", "tokenizer")):
        _prepare(dataset, store, model)
    tokenizer = train_wordpiece(["Ada moved"] * 2, vocab_size=60)
    with pytest.raises(SecateurError, match=message.replace("WHAT", "weights")):
        fresh_model(model, auto_class="AutoModelForQuestionAnswering", head={}, tokenizer=tokenizer, seed=1)


def test_examples_of_three_splits_are_served_in_batches(dataset, store):
    data, _ = _prepare(dataset, store)
    assert {name: len(examples.rows) for name, examples in data.examples.items()} == {
        "train": 36,
        "val": 4,
        "test": 12,
    }
    batches = list(data.train_loader(batch_size=7, seed=1))
    assert sorted(item for batch in batches for item in batch["items"].tolist()) == list(
        range(len(data.examples["train"]))
    )
    assert [len(batch["items"]) for batch in data.eval_loader("val")] == [4]
    assert max(len(batch["items"]) for batch in data.eval_loader("test")) == 5


def test_the_tokenizer_is_that_of_the_tokens(dataset, store):
    """Through the store and back: encoding the rows anew gives the stored ids."""
    data, tokenizer = _prepare(dataset, store)
    for examples in data.examples.values():
        assert isinstance(examples, QuestionWindows)
        for row, text in enumerate(examples.rows["context"]):
            assert tokenizer(text, add_special_tokens=False)["input_ids"] == examples.documents[row].tolist()
    assert tokenizer.decode(tokenizer("Ada moved.")["input_ids"]) == "[CLS] ada moved. [SEP]"
    assert tokenizer.model_input_names == ["input_ids", "token_type_ids", "attention_mask"]


def test_a_vocabulary_is_not_learnt_from_the_test_split(dataset, store):
    _, tokenizer = _prepare(dataset, store)
    assert tokenizer.tokenize("☃") == ["[UNK]"]
    assert tokenizer.tokenize("London") != ["[UNK]"]


def test_other_rows_make_other_tokens_and_lengths_do_not(dataset, store):
    _prepare(dataset, store)
    for number, changes in ((2, {"limit_train": 30, "limit_test": 5}), (2, {"max_question_length": 6})):
        data, _ = _prepare(dataclasses.replace(dataset, **changes), store)
        assert len(_entries(store)) == number
        assert len(data.examples["test"].rows) == changes.get("limit_test", 12)
        assert max(data.examples["train"].question_sizes) <= changes.get("max_question_length", 16)


def test_the_layout_is_that_which_is_asked_for_made_once(dataset, store):
    """From the same tokens, and handed out to whoever asks next."""
    data, _ = _prepare(dataset, store)
    segmented = data.laid_out("segmented")
    assert "question_length" in next(iter(segmented.eval_loader("val")))
    assert "question_length" not in next(iter(data.eval_loader("val")))
    assert data.laid_out("segmented") is segmented
    assert data.laid_out("packed") is data
    assert len(_entries(store)) == 1


def test_questions_that_are_cut_are_counted(dataset, store, caplog):
    _prepare(dataclasses.replace(dataset, max_question_length=3), store)
    (warning,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert re.fullmatch(r"dataset\.max_question_length=3: \d+ training questions are longer and will be cut", warning)


def test_refuses_to_lay_out_apart_what_has_no_slot(dataset, store):
    data, _ = _prepare(dataset, store)
    dataset.max_question_length = None
    with pytest.raises(
        SecateurError, match=r"^dataset\.max_question_length=null: [^\n]+; say how many tokens, such as 32$"
    ):
        data.laid_out("segmented")


def test_another_vocabulary_makes_other_tokens(dataset, store):
    for size in (90, 120):
        _, tokenizer = _prepare(dataset, store, dataclasses.replace(TINY, vocabulary_size=size))
        assert len(tokenizer) == size
    assert len(_entries(store)) == 2


def test_an_architecture_without_token_types_has_tokens_of_its_own(dataset, store):
    """Its tokenizer, which lies beside them, does not offer any."""
    _prepare(dataset, store)
    for model_type in ("distilbert", "roberta"):
        model = dataclasses.replace(TINY, architecture={"model_type": model_type})
        data, tokenizer = _prepare(dataset, store, model)
        assert tokenizer.model_input_names == ["input_ids", "attention_mask"]
        assert "token_type_ids" not in next(iter(data.eval_loader("val")))
    assert len(_entries(store)) == 2


def test_files_count_by_content_not_by_place(dataset, store, tmp_path):
    _prepare(dataset, store)
    moved = tmp_path / "elsewhere.jsonl"
    Path(dataset.train_files).rename(moved)
    _prepare(dataclasses.replace(dataset, train_files=str(moved)), store, task=_NeverReads())
    _write(moved, 40, place="Oslo")
    data, _ = _prepare(dataclasses.replace(dataset, train_files=str(moved)), store)
    assert len(_entries(store)) == 2
    assert all("Oslo" in context for context in data.examples["train"].rows["context"])


def test_windows_of_another_size_are_cut_from_the_same_tokens(dataset, store):
    whole, _ = _prepare(dataset, store)
    cut = dataclasses.replace(dataset, max_seq_length=20, doc_stride=2)
    data, _ = _prepare(cut, store, task=_NeverReads())
    assert max(data.examples["train"].lengths) == 20 < max(whole.examples["train"].lengths)
    assert len(data.examples["train"]) > len(whole.examples["train"])


def _checkpoint(folder: Path, *, width: int, vocab_size: int) -> ModelConfig:
    texts = [f"When did {name} move to town, in the year 0123456789?" for name in NAMES]
    tokenizer = train_wordpiece(texts, vocab_size=vocab_size)
    shape = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForQuestionAnswering(BertConfig(vocab_size=len(tokenizer), **shape))
    save_model(model, tokenizer, folder)
    return ModelConfig(name="any", checkpoint=str(folder))


def test_models_with_one_vocabulary_share_tokens(dataset, store, tmp_path):
    """The many models of a sweep have one tokenizer between them, and weights of their own."""
    first = _checkpoint(tmp_path / "first", width=8, vocab_size=100)
    second = _checkpoint(tmp_path / "second", width=16, vocab_size=100)
    other = _checkpoint(tmp_path / "other", width=8, vocab_size=60)
    _, tokenizer = _prepare(dataset, store, first)
    _, same = _prepare(dataset, store, second, task=_NeverReads())
    assert tokenizer.get_vocab() == same.get_vocab()
    _, smaller = _prepare(dataset, store, other)
    assert len(smaller) < len(tokenizer)
    assert len(_entries(store)) == 2
