"""Rows turned into tokens, made once for each data set and vocabulary, and shared by all runs."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import tokenizers
from datasets import Dataset, DatasetDict, load_from_disk
from transformers import PreTrainedTokenizerBase

from secateur.config import DatasetConfig, ModelConfig
from secateur.data.examples import Lengths
from secateur.data.module import TaskData
from secateur.data.sources import fingerprint
from secateur.data.split import with_validation
from secateur.models import config_of, tokenizer_of
from secateur.store import key_of, made_once
from secateur.structure.anatomy import takes_token_types
from secateur.structure.checkpoint import load_tokenizer
from secateur.tasks.base import Task

log = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "special_tokens_map.json", "added_tokens.json")


def prepare(
    dataset: DatasetConfig, model: ModelConfig, task: Task, *, store: Path, eval_batch_size: int
) -> tuple[TaskData, PreTrainedTokenizerBase]:
    """The data of a run and its tokenizer, read from the store, where they are made on first use.

    Raises:
        SecateurError: if a file is missing or malformed; it names the file and the row.
    """
    lengths = Lengths(**dataset.lengths())
    folder = store / "tokens" / f"{dataset.name}-{_key(dataset, model, task)}"

    def make(partial: Path) -> None:
        rows = read_rows(dataset, task)
        log.info("tokenizing %s: %s", dataset.name, ", ".join(f"{len(rows[name])} {name}" for name in rows))
        texts = (text for split in ("train", "val") for text in task.texts(rows[split]))
        tokenizer = tokenizer_of(model, texts)
        tokenizer.save_pretrained(partial / "tokenizer")
        for name, split in rows.items():
            task.write_tokens(split, tokenizer, lengths, partial / "rows" / name)

    made_once(folder, make, what=f"the tokens of {dataset.name}")
    tokenizer = load_tokenizer(folder / "tokenizer")
    examples = {}
    for name in ("train", "val", "test"):
        tokens = load_from_disk(folder / "rows" / name)
        assert isinstance(tokens, Dataset)
        examples[name] = task.examples(tokens, tokenizer, lengths)
    return TaskData(examples, eval_batch_size=eval_batch_size), tokenizer


def read_rows(dataset: DatasetConfig, task: Task) -> DatasetDict:
    """Validated rows of ``train``, ``val`` and ``test``.

    Raises:
        SecateurError: if a file is missing or malformed; it names the file and the row.
    """
    return with_validation(
        task.load_rows(dataset.source()),
        group_keys=task.group_keys,
        limit_train=dataset.limit_train,
        limit_test=dataset.limit_test,
    )


def _key(dataset: DatasetConfig, model: ModelConfig, task: Task) -> str:
    return key_of(
        {
            "rows": fingerprint(dataset.source()),
            "limits": [dataset.limit_train, dataset.limit_test],
            "max_question_length": dataset.max_question_length,
            "vocabulary": _vocabulary(model),
            "token_types": takes_token_types(config_of(model)),
            "task": [dataset.task["_target_"], {name: dataset.task.get(name) for name in task.row_settings}],
            "tokenizers": tokenizers.__version__,
        }
    )


def _vocabulary(model: ModelConfig) -> Any:
    """What tokens depend on: the models of a sweep, whose weights differ, have them in common."""
    if model.checkpoint is None:
        return model.vocabulary_size
    folder = Path(model.checkpoint)
    if not folder.is_dir():
        return [model.checkpoint, model.revision]
    paths = {path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
