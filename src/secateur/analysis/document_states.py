"""How far a document's states move, layer by layer, when a different question is asked.

Where they hardly move, a document can be read without its question, as DeFormer does in the lower layers (Cao et al.,
arXiv 2005.00697, whose code compares five questions about each passage).

Shapes: B questions about one document, T tokens of the document, L tokens of an input, D features, N layers and the
embeddings before them, P documents.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.data.examples import Batch, Examples
from secateur.data.question_windows import QuestionWindows
from secateur.drawing import COLOURS, INK, MARKERS, SMALL, new_figure, set_heading, style_axes
from secateur.errors import SecateurError
from secateur.structure.anatomy import anatomy_of
from secateur.structure.modes import evaluating
from secateur.structure.observing import layer_outputs
from secateur.tasks.base import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_QUESTIONS = 5


@dataclass(frozen=True, kw_only=True)
class Movement:
    """Cosine distances of document tokens' states to their centroid over the questions, in [0, 2].

    Attributes:
        distances: (P, 1 + N), each document's mean over its tokens and questions; first for the embeddings' output,
            then for each layer's.
    """

    distances: list[list[float]]

    @property
    def means(self) -> list[float]:
        """Means over documents, (1 + N,)."""
        return np.mean(self.distances, axis=0).tolist()

    @property
    def deviations(self) -> list[float]:
        """Standard deviations over documents, (1 + N,); 0 for a single document."""
        return np.std(self.distances, axis=0).tolist()

    def rows(self) -> list[dict[str, float]]:
        """A row for each layer; layer 0 is the embeddings."""
        pairs = zip(self.means, self.deviations, strict=True)
        return [{"layer": layer, "mean": mean, "std": deviation} for layer, (mean, deviation) in enumerate(pairs)]


def asked_together(rows: Dataset, *, count: int, seed: int) -> list[list[int]]:
    """Indices of the rows about each of ``count`` documents, drawn from those with two questions or more.

    The first five questions about each document are used. If there are fewer such documents, all are returned.

    Raises:
        SecateurError: if there is none.
    """
    of_context: dict[str, list[int]] = {}
    for row, context in enumerate(rows["context"]):
        of_context.setdefault(context, []).append(row)
    several = [numbers[:MOST_QUESTIONS] for numbers in of_context.values() if len(numbers) > 1]
    if not several:
        raise SecateurError(f"documents={count}: no document of the test split is asked about twice")
    return random.Random(seed).sample(several, min(count, len(several)))


def movement_of(model: PreTrainedModel, task: Task, examples: Examples, documents: Sequence[Sequence[int]]) -> Movement:
    """How far the states of documents move in ``model``.

    Args:
        model: the model to observe.
        task: the model's task.
        examples: in the layout that the model reads.
        documents: for each document, the rows of ``examples`` that ask about it. Of a document longer than a window,
            only the first window counts, up to its length next to the longest of the questions.
    """
    assert isinstance(examples, QuestionWindows)
    first_items = {window.example: item for item, window in enumerate(examples.windows) if window.first_token == 0}
    with evaluating(model), torch.no_grad():
        distances = [
            _distances(model, task, examples.collate([first_items[row] for row in rows])).tolist() for rows in documents
        ]
    return Movement(distances=distances)


def distance_to_centroid(states_BTD: Tensor) -> Tensor:
    """The mean over B and T of 1 - cos(state, mean over B of the token's states), a scalar."""
    states_BTD = states_BTD.double()  # in float32, equal states are about 1e-7 apart
    cosines_BT = functional.cosine_similarity(states_BTD, states_BTD.mean(0, keepdim=True), dim=-1)
    return (1 - cosines_BT).clamp(min=0).mean()  # rounding may make it negative


def draw_movement(movements: Mapping[str, Movement], *, title: str) -> Figure:
    """A line for each model over its layers, and a band of one standard deviation over documents."""
    figure = new_figure(7.0, 4.4)
    axes = figure.add_subplot()
    for (name, movement), colour, marker in zip(movements.items(), COLOURS, MARKERS, strict=False):
        layers = range(len(movement.means))
        pairs = list(zip(movement.means, movement.deviations, strict=True))
        lower, upper = [max(0.0, mean - std) for mean, std in pairs], [mean + std for mean, std in pairs]
        axes.fill_between(layers, lower, upper, color=colour, alpha=0.15, lw=0)
        axes.plot(layers, movement.means, color=colour, marker=marker, markeredgecolor="white", label=name)
    set_heading(figure, title)
    axes.set_xlabel("layer (0: embeddings)", color=INK)
    axes.set_ylabel("cosine distance to the centroid over questions", color=INK)
    axes.set_xticks(range(max(len(movement.means) for movement in movements.values())))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=SMALL)
    style_axes(axes)
    return figure


def _distances(model: PreTrainedModel, task: Task, batch: Batch) -> Tensor:
    """The mean distance of one document's states after the embeddings and after each layer, (1 + N,)."""
    with _embedded(model) as embedded_BLD, layer_outputs(model) as states_BLD:
        task.forward(model, move_data_to_device(batch, model.device))
    starts = batch["document_start"].tolist()
    size = int(batch["document_mask"].sum(1).min())
    return torch.stack(
        [
            distance_to_centroid(
                torch.stack([row[start : start + size] for row, start in zip(each, starts, strict=True)])
            )
            for each in (*embedded_BLD, *states_BLD)
        ]
    ).cpu()


@contextmanager
def _embedded(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Within the context, collects the embeddings' outputs (B, L, D)."""
    anatomy = anatomy_of(model.config)
    found: list[Tensor] = []

    def note(_module: Any, _inputs: Any, output: Tensor) -> None:
        found.append(output.transpose(0, 1) if anatomy.length_first else output)

    with model.base_model.get_submodule(anatomy.embeddings).register_forward_hook(note):
        yield found
