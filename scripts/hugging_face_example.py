"""Extractive QA the usual way: the Trainer of transformers, with the settings of its question-answering example.

Windows are cut by the tokenizer (``stride``, ``return_overflowing_tokens``, ``return_offsets_mapping``); answers are
paired from the 20 best starts and ends of a window.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarking import Stopwatch
from datasets import Dataset, DatasetDict
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from secateur.configuration.schema import Config
from secateur.tasks.squad_scores import squad_v1_scores

N_BEST = 20
MAX_ANSWER_LENGTH = 30


def train_and_score(
    rows: DatasetDict, config: Config, *, pads_to_longest: bool, folder: Path, steps: Stopwatch, **arguments: Any
) -> dict[str, float]:
    """Fine-tune ``config``'s checkpoint as its predecessor is, scoring val after each epoch and test at the end.

    Args:
        pads_to_longest: pad to the longest window of a batch instead of to max_seq_length.
        steps: times the training steps.
        arguments: further arguments of the Trainer, in addition to those that all contestants share.

    Returns:
        the scores on test.
    """
    tokenizer = AutoTokenizer.from_pretrained(config.model.checkpoint)
    cut = partial(windows, tokenizer=tokenizer, config=config, pads_to_longest=pads_to_longest)
    features = {split: cut(rows[split], labelled=split == "train") for split in rows}
    trainer = _QuestionAnsweringTrainer(
        # In float32, whatever the checkpoint's dtype: a float16 one would train in float16, far slower on a CPU.
        model=AutoModelForQuestionAnswering.from_pretrained(config.model.checkpoint, dtype=torch.float32),
        args=_arguments(config, folder, **arguments),
        train_dataset=features["train"],
        data_collator=DataCollatorWithPadding(tokenizer) if pads_to_longest else default_data_collator,
        callbacks=[_StepClock(steps)],
        rows=rows,
        features=features,
    )
    trainer.train()
    return trainer.score("test")


def windows(
    rows: Dataset, *, tokenizer: PreTrainedTokenizerBase, config: Config, pads_to_longest: bool, labelled: bool
) -> Dataset:
    """Windows of questions and passages; labelled ones have start and end, others their question's id and offsets."""
    return rows.map(
        _labelled if labelled else _unlabelled,
        batched=True,
        remove_columns=rows.column_names,
        fn_kwargs={
            "encode": partial(
                tokenizer,
                truncation="only_second",
                max_length=config.dataset.max_seq_length,
                stride=config.dataset.doc_stride,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
                padding=False if pads_to_longest else "max_length",
            )
        },
    )


def _labelled(rows: dict[str, list[Any]], *, encode: Any) -> dict[str, list[Any]]:
    encoded = encode(rows["question"], rows["context"])
    owners, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
    spans = [
        _span(rows["answers"][owner], offsets[window], encoded.sequence_ids(window))
        for window, owner in enumerate(owners)
    ]
    return {**encoded, "start_positions": [start for start, _ in spans], "end_positions": [end for _, end in spans]}


def _unlabelled(rows: dict[str, list[Any]], *, encode: Any) -> dict[str, list[Any]]:
    encoded = encode(rows["question"], rows["context"])
    owners = encoded.pop("overflow_to_sample_mapping")
    offsets = [
        [
            pair if sequence == 1 else (-1, -1)
            for pair, sequence in zip(pairs, encoded.sequence_ids(window), strict=True)
        ]
        for window, pairs in enumerate(encoded.pop("offset_mapping"))
    ]
    return {**encoded, "example_id": [rows["id"][owner] for owner in owners], "offsets": offsets}


def _span(
    answers: dict[str, list[Any]], offsets: list[tuple[int, int]], sequences: list[int | None]
) -> tuple[int, int]:
    """First and last token of the answer; (0, 0) if the window does not contain all of it."""
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    passage = [place for place, sequence in enumerate(sequences) if sequence == 1]
    if not passage or offsets[passage[0]][0] > begin or offsets[passage[-1]][1] < end:
        return 0, 0
    starts = [place for place in passage if offsets[place][0] <= begin]
    ends = [place for place in passage if offsets[place][1] >= end]
    return starts[-1], ends[0]


def _arguments(config: Config, folder: Path, **arguments: Any) -> TrainingArguments:
    """The example's defaults, except batch size, schedule and seed, which all contestants share."""
    settings = config.predecessor
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        eval_strategy="epoch",
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        **arguments,
    )


class _QuestionAnsweringTrainer(Trainer):
    """Scores answers instead of losses."""

    def __init__(self, *, rows: DatasetDict, features: dict[str, Dataset], **options: Any) -> None:
        super().__init__(eval_dataset=features["val"], **options)
        self.rows = rows
        self.features = features

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        return {f"eval_{name}": value for name, value in self.score("val").items()}

    def score(self, split: str) -> dict[str, float]:
        """EM and F1."""
        features = self.features[split]
        logits = self.predict(features.remove_columns(["example_id", "offsets"])).predictions
        contexts = dict(zip(self.rows[split]["id"], self.rows[split]["context"], strict=True))
        golds = {row["id"]: row["answers"]["text"] for row in self.rows[split]}
        return squad_v1_scores(_answers(features, *logits, contexts), golds)


def _answers(features: Dataset, starts_WL: np.ndarray, ends_WL: np.ndarray, contexts: dict[str, str]) -> dict[str, str]:
    """The best span of each question over its W windows; L tokens of the longest."""
    best: dict[str, tuple[float, str]] = dict.fromkeys(contexts, (-np.inf, ""))
    for feature, start_L, end_L in zip(features, starts_WL, ends_WL, strict=True):
        id_, offsets = feature["example_id"], np.array(feature["offsets"])
        first = np.argsort(-start_L[: len(offsets)])[:N_BEST, None]
        last = np.argsort(-end_L[: len(offsets)])[None, :N_BEST]
        inside = (offsets[first, 0] >= 0) & (offsets[last, 0] >= 0)
        allowed = inside & (first <= last) & (last - first < MAX_ANSWER_LENGTH)
        scores = np.where(allowed, start_L[first] + end_L[last], -np.inf)
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        if scores[row, column] > best[id_][0]:
            text = contexts[id_][offsets[first[row, 0], 0] : offsets[last[0, column], 1]]
            best[id_] = (scores[row, column], text)
    return {id_: text for id_, (_, text) in best.items()}


class _StepClock(TrainerCallback):
    """Times training steps, without the evaluation after each epoch."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.on_epoch_begin = stopwatch.start
        self.on_epoch_end = stopwatch.stop
