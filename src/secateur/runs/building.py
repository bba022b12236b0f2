"""A method's steps, built from their settings and checked against the model and the task before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from transformers import PretrainedConfig

from secateur.configuration.instantiation import build, set_in
from secateur.configuration.schema import Config, ModelConfig
from secateur.cost.inputs import fitting_lengths
from secateur.distillation import Distillation
from secateur.errors import SecateurError
from secateur.methods.base import Step
from secateur.methods.ranking import Matrices
from secateur.models import check_model, config_of
from secateur.runs.predecessor import check_predecessor
from secateur.runs.prepared_data import check_segmented
from secateur.structure.anatomy import check_linear_attention
from secateur.structure.checkpoint import load
from secateur.structure.fixed_zeros import declared_patterns
from secateur.structure.shape import planned_sizes, segments_of
from secateur.tasks.base import Task

log = logging.getLogger(__name__)


def check_buildable(config: Config) -> dict[str, Step]:
    """The method's steps in order, built from their settings; whatever can be refused early is refused here.

    Raises:
        SecateurError: if a step, the task or the model cannot be built as configured.
    """
    task: Task = build(config.dataset.task, key="dataset.task")
    loss: Distillation | None = build(config.distillation.loss, key="distillation.loss")
    if loss is not None and loss.reads_stored:
        task.check_distillation(key=f"distillation={config.distillation.name}")
    steps = _built_steps(config)
    _check_order(steps)
    if loss is not None and loss.needs_same_depth and any(step.changes_depth for step in steps.values()):
        raise SecateurError(
            f"distillation={config.distillation.name}: compares layer by layer, and method={config.method['name']} "
            "removes layers; use distillation=logits or patient"
        )
    check_predecessor(config.model, config.predecessor, reference=config.reference)
    if config.predecessor.checkpoint is None:
        check_model(config.model, max_seq_length=config.dataset.max_seq_length)
    architecture = config_of(config.start)
    task.check_architecture(architecture)
    fitting_lengths(config.measure.lengths, architecture)
    for name, step in steps.items():
        _check_step(step, name, config, architecture)
    _check_zeros(config.start, steps.values())
    if any(step.segments for step in steps.values()):
        check_segmented(config.dataset, task)
    if config.export.name != "none":
        check_linear_attention(architecture, key=f"export={config.export.name}")
    return steps


def _built_steps(config: Config) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    for name in config.method["order"]:
        with set_in(config.method, name):
            steps[name] = build(config.method["steps"][name], key=f"method.steps.{name}")
    return steps


def _check_order(steps: Mapping[str, Step]) -> None:
    """Refuse steps in an order in which one lacks what it needs, or gates are lost on the way.

    Raises:
        SecateurError: naming the step.
    """
    at_hand: tuple[str, ...] = ()
    for name, step in steps.items():
        for kind in step.needs:
            if kind not in at_hand:
                raise SecateurError(f"method.order: {name} needs {kind}; put a step that gives {kind} before it")
        if "gates" in at_hand and "gates" not in (*step.needs, *step.gives):
            raise SecateurError(f"method.order: {name} would lose the gates set before it; put surgery between them")
        at_hand = step.gives
    if "gates" in at_hand:
        log.warning("method.order: no surgery follows the gates, so that nothing is removed from the model")


def _check_step(step: Step, name: str, config: Config, architecture: PretrainedConfig) -> None:
    """Refuse a step that cannot be applied to the model that the run starts from."""
    if not step.any_architecture:
        check_linear_attention(architecture, key=f"method={config.method['name']}")
    if not step.takes_decomposed and segments_of(architecture) is not None:
        raise SecateurError(
            f"method={config.method['name']}: cannot start from a model that reads question and document separately; "
            "compress first, then decompose the result with method=deformer predecessor.checkpoint=RUN/model"
        )
    heads, units = planned_sizes(architecture)
    with set_in(config.method, name):
        step.check(heads=heads, units=units)
    if step.needs_pretrained and config.model.checkpoint is None:
        raise SecateurError(
            f"method.init=pretrained: model={config.model.name} has no pretrained weights; set model.checkpoint, or "
            "choose another init"
        )
    if step.needs_pretrained and planned_sizes(config_of(config.model)) != (heads, units):
        raise SecateurError(
            f"method.init=pretrained: model={config.model.name} differs in heads or units from "
            f"predecessor.checkpoint={config.predecessor.checkpoint}; choose another init"
        )


def _check_zeros(model: ModelConfig, steps: Iterable[Step]) -> None:
    """Refuse a target of fewer zeros than a given model keeps, before a predecessor is trained.

    Only the first step is checked: later steps start from its result, and removing heads, units and layers removes
    their zeros, too.
    """
    first, folder = next(iter(steps), None), Path(model.checkpoint or "")
    if first is None or first.zeros is None or not (folder / "config.json").is_file():
        return
    if model.keep_zeros or declared_patterns(config_of(model)):
        Matrices(load(folder)).check_target(first.zeros)
