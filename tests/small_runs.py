"""Composing configs and running them in this process, on models and data that take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from secateur.commands.compress import compress
from secateur.commands.launch import config_path
from secateur.configuration import naming
from secateur.configuration.checks import checked
from secateur.record import Record

# A model and a data set as small as they can be and still have layers, heads, windows and several batches.
MODEL = (
    "model.architecture.hidden_size=32",
    "model.architecture.num_hidden_layers=3",
    "model.architecture.num_attention_heads=4",
    "model.architecture.intermediate_size=48",
    "model.vocabulary_size=400",
    "model.architecture.hidden_dropout_prob=0.1",
    "model.architecture.attention_probs_dropout_prob=0.1",
    "model.batch_size=16",
    "model.epochs=2",
)
DATASETS = {
    "toy_qa": (
        "dataset.generator.train=90",
        "dataset.generator.test=16",
        "dataset.max_seq_length=48",
        "dataset.max_question_length=16",
        "dataset.doc_stride=8",
    ),
}
RUN = (
    "measure.batch_sizes=[1]",
    "measure.lengths=[16]",
    "measure.seconds=0.01",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
)


def small(*overrides: str) -> list[str]:
    """The overrides after those that make a run small; a model or files of one's own stay as they are."""
    chosen = dict(override.split("=", 1) for override in overrides if "=" in override)
    dataset = DATASETS.get(chosen.get("dataset", "toy_qa"), ())
    return [*(() if "model" in chosen else MODEL), *dataset, *RUN, *overrides]


def composed(*overrides: str, output: Path) -> DictConfig:
    """The config of ``secateur`` with overrides, as Hydra composes it."""
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("compress", [*small(*overrides), f"paths.output={output}"])


def run(*overrides: str, output: Path) -> tuple[Record, Path]:
    """Check and run a config; returns the record and the run folder."""
    config = composed(*overrides, output=output)
    folder = Path(config.paths.runs) / naming.run_name(_root_=config)
    return compress(checked(config), folder, asked=naming.resolved(config)), folder


class Killed(BaseException):
    """Ends a run as abruptly as a signal would: nobody catches it."""


def kill_at(step: int, *, when: str) -> str:
    """An override that kills every phase's process-alike once ``step`` optimizer steps are done."""
    return f"+callbacks.killer={{_target_: tests.small_runs.Killer, step: {step}, when: {when}}}"


def killer_class() -> Any:
    """The callback, made on demand: importing Lightning takes seconds that a config test need not spend."""
    import pytorch_lightning as pl

    class Killer(pl.Callback):
        """Raises :class:`Killed` at one moment of the training."""

        def __init__(self, *, step: int, when: str) -> None:
            self.step = step
            self.when = when

        def _strike(self, trainer: pl.Trainer, moment: str) -> None:
            if moment == self.when and trainer.global_step == self.step:
                raise Killed

        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            self._strike(trainer, "batch")

        def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
            self._strike(trainer, "validation")

        def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            self._strike(trainer, "epoch")

    return Killer


def witness_class() -> Any:
    """The callback, made on demand as above."""
    import pytorch_lightning as pl
    import torch
    from safetensors.torch import save_file

    class Witness(pl.Callback):
        """Writes down what each process has in the end of each phase: all that Lightning would save of the module,
        and which layers or modules each batch ran."""

        def __init__(self, *, folder: str) -> None:
            self.folder = Path(folder)
            self.ran: list[list[bool]] = []

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            replaced = [module.replaced for module in pl_module.modules() if hasattr(module, "replaced")]
            self.ran.append([*getattr(pl_module, "dropped", ()), *replaced])

        def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
            self.folder.mkdir(exist_ok=True)
            state = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
            state["ran"] = torch.tensor(self.ran)
            save_file(state, self.folder / f"{pl_module.name}.{trainer.global_rank}")

    return Witness


def __getattr__(name: str) -> Any:
    if name == "Killer":
        return killer_class()
    if name == "Witness":
        return witness_class()
    raise AttributeError(name)
