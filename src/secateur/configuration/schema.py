"""The schema of the composed configs: every key and its type. The YAML files under ``conf/`` explain each key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from omegaconf import MISSING

from secateur.data.sources import Source


@dataclass(kw_only=True)
class DatasetConfig:
    """``conf/dataset``: where rows come from, how long inputs are, what the task is."""

    name: str
    hub: str | None
    hub_config: str | None
    revision: str | None
    hub_test_split: str | None
    data_dir: str | None
    train_files: Any
    test_files: Any
    file_names: dict[str, list[str]]
    columns: dict[str, Any]
    generator: dict[str, Any] | None
    limit_train: int | None
    limit_test: int | None
    max_seq_length: int
    column_names: list[str] | None = None
    quoting: bool = True
    test_share: float | None = None
    max_question_length: int | None = None
    doc_stride: int | None = None
    task: dict[str, Any]

    def source(self) -> Source:
        """Where the rows come from."""
        return Source(
            name=self.name,
            hub=self.hub,
            hub_config=self.hub_config,
            revision=self.revision,
            hub_test_split=self.hub_test_split,
            data_dir=self.data_dir,
            train_files=_listed(self.train_files),
            test_files=_listed(self.test_files),
            file_names=self.file_names,
            test_share=self.test_share,
            columns={ours: theirs for ours, theirs in self.columns.items() if theirs is not None},
            column_names=self.column_names,
            quoting=self.quoting,
            generator=self.generator,
        )

    def lengths(self) -> dict[str, int]:
        """The maximum lengths, in tokens, that are set for the data set."""
        lengths = {name: getattr(self, name) for name in ("max_seq_length", "max_question_length", "doc_stride")}
        return {name: length for name, length in lengths.items() if length is not None}


@dataclass(kw_only=True)
class ModelConfig:
    """``conf/model``: the initial model, and the training settings that suit it."""

    name: str
    checkpoint: str | None
    revision: str | None = None
    keep_zeros: bool = False
    architecture: dict[str, Any] | None = None
    vocabulary_size: int | None = None
    learning_rate: float = MISSING
    weight_decay: float = MISSING
    warmup_ratio: float = MISSING
    batch_size: int = MISSING
    epochs: float = MISSING


@dataclass(kw_only=True)
class DistillationConfig:
    """``conf/distillation``: what recovery training imitates."""

    name: str
    loss: dict[str, Any] | None


@dataclass(kw_only=True)
class PredecessorConfig:
    """The dense model fine-tuned on the task."""

    checkpoint: str | None
    seed: int
    epochs: float
    batch_size: int
    accumulate_grad_batches: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    max_grad_norm: float


@dataclass(kw_only=True)
class EvaluationConfig:
    """How models are scored."""

    batch_size: int


@dataclass(kw_only=True)
class MeasureConfig:
    """Which latencies are measured."""

    batch_sizes: list[int]
    lengths: list[int]
    dtypes: list[str]
    seconds: float


@dataclass(kw_only=True)
class ExportConfig:
    """``conf/export``: the format, in addition to safetensors, in which a run's model is written."""

    name: str


@dataclass(kw_only=True)
class LoggerConfig:
    """``conf/logger``: where curves and figures are logged, in addition to the record."""

    name: str
    log: dict[str, Any] | None
    offline: bool = False


@dataclass(kw_only=True)
class PathsConfig:
    """Where things are written."""

    output: str
    runs: str
    sweeps: str
    store: str


@dataclass(kw_only=True)
class Config:
    """The entire composed config. ``method`` is untyped: each method has its own keys, checked against its steps."""

    dataset: DatasetConfig
    model: ModelConfig
    method: dict[str, Any]
    distillation: DistillationConfig
    predecessor: PredecessorConfig
    evaluation: EvaluationConfig
    measure: MeasureConfig
    export: ExportConfig
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: LoggerConfig
    paths: PathsConfig
    sparsity: float | None
    seed: int
    sweep: str
    force: bool
    retry: str | None
    threads: int | None
    reference: str
    objective: dict[str, Any] | None

    @property
    def start(self) -> ModelConfig:
        """The initial model, whose vocabulary the run uses: a given predecessor, or what one is trained from."""
        if self.predecessor.checkpoint is None:
            return self.model
        return replace(self.model, checkpoint=self.predecessor.checkpoint, vocabulary_size=None)


@dataclass(kw_only=True)
class EvaluateConfig:
    """The config of ``secateur-evaluate``."""

    checkpoint: str
    output: str
    dataset: DatasetConfig
    evaluation: EvaluationConfig
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    paths: PathsConfig


def _listed(files: Any) -> list[str] | None:
    if files is None or isinstance(files, list):
        return files
    return [files]
