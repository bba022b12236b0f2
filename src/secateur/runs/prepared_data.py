"""Tokenised rows, made once for each data set and vocabulary and shared by all runs."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any, cast

import tokenizers
from datasets import Dataset, DatasetDict, load_from_disk
from transformers import PreTrainedTokenizerBase

from secateur.configuration.schema import DatasetConfig, ModelConfig
from secateur.data.examples import Examples, Lengths
from secateur.data.sources import fingerprint
from secateur.data.split import with_validation
from secateur.data.task_data import TaskData
from secateur.errors import SecateurError
from secateur.models import check_weights_of, config_of, tokenizer_of
from secateur.store import key_of, made_once
from secateur.structure.anatomy import anatomy_of, takes_token_types
from secateur.structure.checkpoint import load_tokenizer
from secateur.structure.decomposition import PACKED, SEGMENTED
from secateur.tasks.base import Task

log = logging.getLogger(__name__)

_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "special_tokens_map.json", "added_tokens.json")


def prepare(
    dataset: DatasetConfig, model: ModelConfig, task: Task, *, store: Path, eval_batch_size: int
) -> tuple[TaskData, PreTrainedTokenizerBase]:
    """The data of a run and its tokenizer, read from the store, where they are made on first use.

    Raises:
        SecateurError: if a file is missing or malformed, naming the file and the row; or if a hub checkpoint's
            weights or tokenizer are not available.
    """
    lengths = Lengths(**dataset.lengths())  # type: ignore[arg-type]  # its keys are only the lengths
    folder = store / "tokens" / f"{dataset.name}-{_key(dataset, model, task)}"

    def make(partial: Path) -> None:
        check_weights_of(model)  # rather than after hours of tokenizing
        rows = read_rows(dataset, task, partial / "read")
        log.info("tokenizing %s: %s", dataset.name, ", ".join(f"{len(rows[name])} {name}" for name in rows))
        texts = (text for split in ("train", "val") for text in task.texts(rows[split]))
        tokenizer = tokenizer_of(model, texts)
        tokenizer.add_tokens(list(task.added_tokens), special_tokens=True)
        tokenizer.save_pretrained(partial / "tokenizer")
        for name, split in rows.items():
            task.write_tokens(split, tokenizer, lengths, partial / "rows" / name)
        shutil.rmtree(partial / "read", ignore_errors=True)

    made_once(folder, make, what=f"the tokens of {dataset.name}")
    tokenizer = load_tokenizer(folder / "tokenizer")
    tokens = {name: cast(Dataset, load_from_disk(folder / "rows" / name)) for name in ("train", "val", "test")}
    for split in tokens.values():
        task.check_stored(split)

    def examples_in(layout: str) -> dict[str, Examples]:
        if layout == SEGMENTED:
            check_segmented(dataset, task)
        laid_out = dataclasses.replace(lengths, layout=layout)
        return {
            name: (task.training_examples if name == "train" else task.examples)(split, tokenizer, laid_out)
            for name, split in tokens.items()
        }

    examples = examples_in(PACKED)
    if examples["train"].questions_cut:
        log.warning(
            "dataset.max_question_length=%d: %d training questions are longer and will be cut",
            *(dataset.max_question_length, examples["train"].questions_cut),
        )
    return TaskData(examples, eval_batch_size=eval_batch_size, examples_in=examples_in), tokenizer


def check_segmented(dataset: DatasetConfig, task: Task) -> None:
    """Refuse to read questions and documents separately if a data set has none, or the question slot has no size.

    Raises:
        SecateurError: in either case.
    """
    if not task.asks_of_documents:
        raise SecateurError(
            f"dataset={dataset.name}: has no pairs of question and document to read separately; use question "
            "answering, multiple choice or text pairs"
        )
    if dataset.max_question_length is None:
        raise SecateurError(
            "dataset.max_question_length=null: when question and document are read separately, the question has its "
            "own slot; say how many tokens, such as 32"
        )


def read_rows(dataset: DatasetConfig, task: Task, folder: Path | None = None) -> DatasetDict:
    """Validated rows of ``train``, ``val`` and ``test``, stored in ``folder``, if given, as they may exceed memory.

    Raises:
        SecateurError: if a file is missing or malformed, naming the file and the row.
    """
    return with_validation(
        task.load_rows(dataset.source()) if folder is None else task.read_rows(dataset.source(), folder),
        group_keys=task.group_keys,
        limit_train=dataset.limit_train,
        limit_test=dataset.limit_test,
    )


def _key(dataset: DatasetConfig, model: ModelConfig, task: Task) -> str:
    return key_of(
        {
            "rows": fingerprint(dataset.source()),
            "limits": [dataset.limit_train, dataset.limit_test],
            "vocabulary": _vocabulary(model),
            "token_types": takes_token_types(config_of(model)),
            "task": [dataset.task["_target_"], {name: dataset.task.get(name) for name in task.row_settings}],
            "tokenizers": tokenizers.__version__,
        }
    )


def _vocabulary(model: ModelConfig) -> Any:
    """What determines the vocabulary: models of a sweep that differ only in their weights share it."""
    if model.checkpoint is None:
        return [anatomy_of(config_of(model)).vocabulary, model.vocabulary_size]
    folder = Path(model.checkpoint)
    if not folder.is_dir():
        return [model.checkpoint, model.revision]
    paths = {path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
