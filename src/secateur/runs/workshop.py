"""What the stages of a run share: its task, its data, its tokenizer, trainers on its device, and the store."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from secateur.configuration.instantiation import build
from secateur.configuration.schema import Config, DatasetConfig, EvaluateConfig, ModelConfig
from secateur.data.slots import SlotTemplate
from secateur.data.sources import fingerprint
from secateur.data.task_data import TaskData
from secateur.distillation.teacher import TeacherOutputs, write_teacher_outputs
from secateur.errors import SecateurError
from secateur.loggers import RunLog
from secateur.methods.base import Context, Origins
from secateur.models import checkpoint_fingerprint
from secateur.runs.evaluation import evaluate
from secateur.runs.prepared_data import prepare
from secateur.store import key_of, made_once
from secateur.structure.checkpoint import load, load_tokenizer
from secateur.structure.decomposition import PACKED, layout_of
from secateur.structure.shape import segments_of
from secateur.tasks.base import Task
from secateur.training.trainer import TrainerFactory, trainer_factory, with_precision

log = logging.getLogger(__name__)

# The subfolder in which a step scores intermediate models; removed when the step finishes.
SCRATCH = "scratch"
# Settings of the trainer that affect what is displayed, not what is computed.
DISPLAY = ("log_every_n_steps", "enable_progress_bar")


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Task, data and tools of a run.

    Attributes:
        task: the task of the run.
        dataset: the settings from which ``data`` was made.
        data: the examples of all splits.
        tokenizer: the tokenizer that ``data`` was made with.
        make_trainer: builds a trainer on the configured device.
        arithmetic: the trainer's settings that affect the result of training, part of the store's keys.
        store: the folder of what runs share: dense models, tokens, scores, teachers' outputs.
    """

    task: Task
    dataset: DatasetConfig
    data: TaskData
    tokenizer: PreTrainedTokenizerBase
    make_trainer: TrainerFactory
    arithmetic: dict[str, Any]
    store: Path

    @property
    def question_slot(self) -> int:
        """The size of the question slot in tokens: the longest question, special tokens included."""
        return SlotTemplate.of(self.tokenizer).question_slot(self.dataset.lengths()["max_question_length"])

    def context(
        self, *, name: str, seed: int, data_seed: int, folder: Path, origins: Origins, layout: str = PACKED
    ) -> Context:
        """The context of a step called ``name`` whose initial model takes inputs in ``layout``."""
        return Context(
            name=name,
            task=self.task,
            data=self.data.laid_out(layout),
            scores=lambda model, *, split="test": self.evaluate(model, folder / SCRATCH, split=split),
            origins=origins,
            make_trainer=self.make_trainer,
            seed=seed,
            data_seed=data_seed,
            folder=folder,
        )

    def check_head(self, model: PreTrainedModel, *, key: str) -> None:
        """Refuse a fine-tuned model whose head does not fit this run's data.

        Raises:
            SecateurError: naming ``key``, the setting that gives the model.
        """
        self.task.check_head(model, self.data.examples["train"], key=f"{key} with dataset={self.dataset.name}")

    def check_reference(self, folder: Path) -> None:
        """Refuse a dense model that cannot be scored on this run's tokens.

        Raises:
            SecateurError: if its head or its vocabulary is another.
        """
        self.check_head(load(folder), key=f"reference={folder}")
        if load_tokenizer(folder).get_vocab() != self.tokenizer.get_vocab():
            raise SecateurError(
                f"reference={folder}: has another vocabulary than the compressed model, so it cannot be scored on "
                "the same tokens; give the dense model that the compressed one was made from"
            )

    def check_slot(self, config: PretrainedConfig) -> None:
        """Warn if the initial model reads questions in a separate slot whose size differs from this run's."""
        segments = segments_of(config)
        if segments is not None and (apart := segments["question_slot"] - self.question_slot):
            longest = self.dataset.lengths()["max_question_length"]
            log.warning(
                "dataset.max_question_length=%d: the model reads questions of up to %d tokens and will not answer "
                "longer ones; set it to that length",
                longest,
                longest + apart,
            )

    def evaluate(self, model: PreTrainedModel, folder: Path, *, split: str = "test") -> dict[str, float]:
        """Scores on a split, in the layout that the model reads, written to ``folder`` with the predictions."""
        trainer = self.make_trainer(folder=folder, alone=True)
        data = self.data.laid_out(layout_of(model.config))
        return evaluate(model, self.task, data, split=split, trainer=trainer, folder=folder)

    def stored_evaluation(self, model_folder: Path) -> Path:
        """The folder of scores and predictions on ``test`` of a model that many runs share; computed once."""
        key = key_of(
            {
                "model": checkpoint_fingerprint(model_folder),
                "rows": fingerprint(self.dataset.source()),
                "test": [self.dataset.limit_train, self.dataset.limit_test],
                "task": self.task_settings(),
                "arithmetic": self.arithmetic,
            }
        )
        return made_once(
            self.store / "scores" / key,
            lambda partial: _evaluate_folder(self, model_folder, partial),
            what=f"the scores of {model_folder}",
        )

    def teacher_outputs(self, teacher_folder: Path) -> TeacherOutputs:
        """A teacher's outputs for every training example: computed once and kept in the store for all runs."""
        key = key_of(
            {
                "teacher": checkpoint_fingerprint(teacher_folder),
                "rows": fingerprint(self.dataset.source()),
                "limit_train": self.dataset.limit_train,
                "task": self.task_settings(),
                "arithmetic": self.arithmetic,
                # Windows are cut between tokens: with other tokens, the same index means a different window.
                "versions": {**library_versions(), "tokenizers": tokenizers.__version__},
            }
        )
        folder = made_once(
            self.store / "teachers" / f"{self.dataset.name}-{key}",
            lambda partial: _teach(self, teacher_folder, partial),
            what=f"the outputs of the teacher {teacher_folder}",
        )
        log.info("reading the teacher's outputs from %s", folder)
        return TeacherOutputs(folder)

    def task_settings(self) -> dict[str, Any]:
        """Everything about inputs and decoding that scores and predecessors depend on."""
        return {**self.dataset.lengths(), "task": self.dataset.task}


def open_workshop(config: Config | EvaluateConfig, model: ModelConfig, *, run_log: RunLog | None = None) -> Workshop:
    """Read the data, tokenised with ``model``'s vocabulary, and assemble what a run's stages share.

    Raises:
        SecateurError: if the data is missing or malformed.
    """
    dataset, store = config.dataset, Path(config.paths.store)
    task = build(dataset.task, key="dataset.task")
    data, tokenizer = prepare(dataset, model, task, store=store, eval_batch_size=config.evaluation.batch_size)
    trainer = with_precision(config.trainer)
    return Workshop(
        task=task,
        dataset=dataset,
        data=data,
        tokenizer=tokenizer,
        make_trainer=trainer_factory(trainer, config.callbacks, run_log),
        arithmetic={name: value for name, value in trainer.items() if name not in DISPLAY},
        store=store,
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that affect the result of training."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _evaluate_folder(workshop: Workshop, model_folder: Path, folder: Path) -> None:
    workshop.evaluate(load(model_folder), folder)


def _teach(workshop: Workshop, teacher_folder: Path, folder: Path) -> None:
    log.info("computing the outputs of the teacher %s over the training split", teacher_folder)
    teacher = load(teacher_folder)
    write_teacher_outputs(
        teacher,
        workshop.task,
        workshop.data.laid_out(layout_of(teacher.config)),
        trainer=workshop.make_trainer(folder=folder, alone=True),
        folder=folder,
    )
