"""A real workshop on synthetic questions, and a model for it whose gates are worth scoring."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from secateur.configuration.checks import checked
from secateur.configuration.schema import Config
from secateur.data.examples import Batch
from secateur.methods.base import Context
from secateur.models import fresh_model
from secateur.runs.predecessor import NO_ORIGINS
from secateur.runs.workshop import Workshop, open_workshop
from secateur.structure.gates import PerGate
from secateur.structure.surgery import shrink
from tests.small_runs import composed

MakeModel = Callable[..., PreTrainedModel]
MakeContext = Callable[..., Context]


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Weights are drawn wide enough that gradients are far above rounding."""
    settings = ("model.architecture.initializer_range=0.2",)
    return checked(composed(*settings, output=tmp_path_factory.mktemp("output")))


@pytest.fixture(scope="session")
def workshop(config: Config) -> Workshop:
    """Task, data, tokenizer and trainers of that config."""
    return open_workshop(config, config.model)


@pytest.fixture
def make_context(workshop: Workshop, tmp_path: Path) -> MakeContext:
    """A step's context; by default asking for the models that came before is a mistake."""

    def make(*, seed: int = 1, name: str = "step", **origins: Callable[[], Any]) -> Context:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return workshop.context(
            name=name, seed=seed, data_seed=seed, folder=folder, origins=dataclasses.replace(NO_ORIGINS, **origins)
        )

    return make


@pytest.fixture
def make_model(config: Config, workshop: Workshop) -> MakeModel:
    """Builds a model of 3 layers with 4 heads of 8 and 48 units, or one cut to an uneven shape."""

    def make(*, attention: str = "sdpa", uneven: bool = False, seed: int = 0) -> PreTrainedModel:
        model = fresh_model(
            config.model, auto_class=workshop.task.auto_class, head={}, tokenizer=workshop.tokenizer, seed=seed
        ).eval()
        model.set_attn_implementation(attention)
        return shrink(model, uneven_gates()) if uneven else model

    return make


@pytest.fixture
def batch(workshop: Workshop) -> Batch:
    """Six training examples, the shortest and the longest among them: all but one are padded."""
    examples = workshop.data.examples["train"]
    by_length = examples.lengths.argsort()
    return examples.collate([examples[int(item)] for item in (*by_length[:3], *by_length[-3:])])


def uneven_gates() -> PerGate:
    """Leaves 0, 3 and 4 heads, and 48, 0 and 5 units."""
    return PerGate(
        heads=(torch.zeros(4), torch.tensor([1.0, 1, 0, 1]), torch.ones(4)),
        units=(torch.ones(48), torch.zeros(48), torch.tensor([1.0] * 5 + [0] * 43)),
    )
