"""The record: the JSON file that describes a run, typed, versioned and written atomically."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from secateur.disk import write_whole
from secateur.errors import SecateurError

Runtime = Literal["pytorch", "onnxruntime"]

SCHEMA = 1
FILE_NAME = "record.json"
FEW_ZEROS = 0.005  # any model may have up to this fraction of zeros among its encoder's weights by chance


class _Typed(BaseModel):
    # JSON cannot represent a non-finite score: it is written as the string "NaN", which is read back as NaN.
    model_config = ConfigDict(extra="forbid", populate_by_name=True, ser_json_inf_nan="strings")


class Structure(_Typed):
    """What was removed, as fractions in [0, 1] of the reference's encoder, and what is left in each layer.

    ``removed`` and ``zeroed`` count the weights in the matrices of the encoder's layers; embeddings, heads,
    biases and LayerNorm are not counted. ``zeroed_total`` counts zeros in all parameters, as a fraction of the
    reference's total.
    """

    removed: float = 0.0
    zeroed: float = 0.0
    zeroed_total: float = 0.0
    heads_removed: float = 0.0
    units_removed: float = 0.0
    layers_removed: float = 0.0
    layers_decomposed: float = 0.0
    heads: list[int] = Field(default_factory=list)
    units: list[int] = Field(default_factory=list)

    @property
    def is_sparse(self) -> bool:
        """Whether there are more zeros than occur by chance."""
        return self.zeroed >= FEW_ZEROS


class Cost(_Typed):
    """The costs of a model. ``flops`` and ``peak_memory_bytes`` are for one forward pass, keyed by length in tokens.

    ``cached_flops`` are those of a question about a document whose states are kept; empty if the model cannot keep
    states. ``cache_difference`` is the largest difference that keeping them makes to any output; None if the model
    cannot keep states.
    ``sparse_bytes`` is what ``disk_bytes`` would be without zeros: each parameter stored as a bitmask and float32 for
    its nonzero values, where that is smaller than float32 throughout; None if no parameter is smaller that way.
    """

    parameters: int
    encoder_parameters: int
    flops: dict[int, int] = Field(default_factory=dict)
    cached_flops: dict[int, int] = Field(default_factory=dict)
    cache_difference: float | None = None
    peak_memory_bytes: dict[int, int] = Field(default_factory=dict)
    disk_bytes: int = 0
    sparse_bytes: int | None = None

    @property
    def served_flops(self) -> dict[int, int]:
        """FLOPs of the model as served: with the document's states kept, if the model can keep them."""
        return self.cached_flops or self.flops


class ModelFigures(_Typed):
    """One model of a run: its folder (relative to the record), its scores on ``test`` and its costs."""

    folder: str
    scores: dict[str, float] = Field(default_factory=dict)
    cost: Cost | None = None
    structure: Structure = Field(default_factory=Structure)


class Percentiles(_Typed):
    """Milliseconds per batch."""

    p50: float
    p90: float


class LatencyPair(_Typed):
    """The reference and the compressed model timed in turn, in one process and one runtime, at one setting.

    ``cached`` is the compressed model with the documents' states kept; None if it cannot keep them.
    """

    runtime: Runtime = "pytorch"
    batch_size: int
    length: int
    dtype: Literal["float32", "bfloat16"]
    reference: Percentiles
    compressed: Percentiles
    cached: Percentiles | None = None
    repeats: int

    @property
    def served(self) -> Percentiles:
        """The compressed model as served: with the documents' states kept, if it can keep them."""
        return self.compressed if self.cached is None else self.cached

    @property
    def speedup(self) -> float:
        """The speed-up of the compressed model as served: the ratio of the median latencies."""
        return self.reference.p50 / self.served.p50


class Latency(_Typed):
    """All timings of a run, and the circumstances under which they were taken."""

    device: str
    threads: int
    beside_others: bool
    pairs: list[LatencyPair] = Field(default_factory=list)


class OnnxExport(_Typed):
    """The compressed model as ONNX: its folder (relative to the record), and how far it differs from PyTorch.

    ``disk_bytes`` is the size of the folder; ``largest_difference`` is the largest of any output, over several shapes.
    """

    folder: str
    disk_bytes: int
    largest_difference: float


class StepRecord(_Typed):
    """One finished step: wall-clock seconds, training examples seen, and scores on ``test`` if it was evaluated."""

    name: str
    seconds: float
    examples: int = 0
    scores: dict[str, float] | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class Record(_Typed):
    """Everything a table needs to know about one run.

    ``validation`` holds the compressed model's scores on ``val``, if a search requested them.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    status: Literal["running", "finished", "failed"]
    name: str
    method: str
    model: str
    dataset: str
    distillation: str
    sparsity: float | None
    seed: int
    predecessor_seed: int
    metric: str
    config: dict[str, Any]
    fingerprint: str
    parents: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    reference: ModelFigures | None = None
    compressed: ModelFigures | None = None
    validation: dict[str, float] | None = None
    latency: Latency | None = None
    onnx: OnnxExport | None = None
    steps: list[StepRecord] = Field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    @property
    def retention(self) -> float | None:
        """The compressed model's score divided by the reference's, in the task's own metric."""
        if self.reference is None or self.compressed is None:
            return None
        base = self.reference.scores.get(self.metric)
        ours = self.compressed.scores.get(self.metric)
        return ours / base if base and ours is not None else None


def method_label(method: str, distillation: str) -> str:
    """The name of a method in comparisons: with its distillation, if any."""
    return method if distillation in ("", "none") else f"{method} + {distillation}"


def write_record(record: Record, folder: Path) -> Path:
    """Write ``record`` to ``folder/record.json`` atomically."""
    path = folder / FILE_NAME
    write_whole(path, record.model_dump_json(by_alias=True, indent=2) + "\n")
    return path


def read_record(path: Path) -> Record:
    """Read one record, given its file or its run folder.

    Raises:
        SecateurError: if there is no record, it is damaged, or it was written under another schema.
    """
    path = path / FILE_NAME if path.is_dir() else path
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SecateurError(f"{path}: no record can be read there ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SecateurError(f"{path}: not a record: the file is not UTF-8 text") from error
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema",) and first["type"] != "missing":
            raise SecateurError(
                f"{path}: not a record of schema {SCHEMA}: it was written under schema {str(first['input'])[:40]}; "
                "read it with the version that wrote it"
            ) from error
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SecateurError(f"{path}: not a record of schema {SCHEMA}: {where}: {first['msg']}") from error


def find_records(folder: Path) -> list[Path]:
    """All record files at or below ``folder``, in name order; partially written ones have a different name."""
    return sorted(folder.rglob(FILE_NAME)) if folder.is_dir() else []


def finished_record(run: Path) -> Record:
    """The record of a finished run.

    Raises:
        SecateurError: if the run is not finished, or its record cannot be read.
    """
    record = read_record(run)
    if record.status != "finished":
        raise SecateurError(f"{run}: the run is {record.status}; finish it first by repeating its command")
    return record


def finished_runs(folders: Sequence[Path]) -> dict[Path, Record]:
    """The record of every finished run at or below the given folders, keyed by the run's folder.

    Raises:
        SecateurError: if there is no finished run, or a record cannot be read.
    """
    records = {path.parent: read_record(path) for folder in folders for path in find_records(folder)}
    finished = {run: record for run, record in records.items() if record.status == "finished"}
    if not finished:
        raise SecateurError(f"{', '.join(map(str, folders))}: no finished run there; give a run's or a sweep's folder")
    return finished
