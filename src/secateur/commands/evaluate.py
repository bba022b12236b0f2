"""``secateur-evaluate``: score a finished model on a data set's test split."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from secateur.commands.launch import config_path
from secateur.configuration import naming
from secateur.configuration.checks import check_dataset, check_evaluation, check_trainer
from secateur.configuration.instantiation import typed
from secateur.configuration.schema import EvaluateConfig, ModelConfig
from secateur.configuration.targets import check_targets
from secateur.disk import full_disk_reported
from secateur.store import check_writable

naming.register()


@hydra.main(version_base="1.3", config_path=config_path(), config_name="evaluate")
def main(composed: DictConfig) -> None:
    """Print the scores, and write them and the predictions to ``output``."""
    config = typed(composed, EvaluateConfig)
    check_dataset(config.dataset)
    check_evaluation(config.evaluation)
    check_trainer(config.trainer)
    check_writable(Path(config.output), key="output")
    check_writable(Path(config.paths.store), key="paths.store")
    check_targets(config, composed=composed)
    with full_disk_reported(Path(config.output)):
        scores = evaluate_checkpoint(config)
    for name, value in scores.items():
        print(f"{name:>24}  {value:.2f}")


def evaluate_checkpoint(config: EvaluateConfig) -> dict[str, float]:
    """Scores of the model in ``checkpoint`` on ``test``.

    Raises:
        SecateurError: if the folder contains no model of the task, or the data is missing or malformed.
    """
    from secateur.commands.launch import quiet_libraries
    from secateur.models import check_config
    from secateur.runs.workshop import open_workshop
    from secateur.structure.checkpoint import load

    quiet_libraries()
    model = load(config.checkpoint)
    check_config(model.config, max_seq_length=config.dataset.max_seq_length)
    workshop = open_workshop(config, checkpoint_config(config.checkpoint))
    workshop.check_head(model, key=f"checkpoint={config.checkpoint}")
    return workshop.evaluate(model, Path(config.output))


def checkpoint_config(folder: str) -> ModelConfig:
    """The ``model`` group of a config for a fine-tuned model's folder."""
    return ModelConfig(name=Path(folder).name, checkpoint=folder)
