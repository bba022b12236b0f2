"""``secateur-analyze RUN --documents N``: how far the states of a run's test documents move with the question."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from secateur.analysis.document_states import Movement, asked_together, draw_movement, movement_of
from secateur.analysis.pictures import title_of
from secateur.configuration.instantiation import build, typed
from secateur.configuration.schema import DatasetConfig
from secateur.data.examples import Examples, Lengths
from secateur.errors import SecateurError, check_at_least_one
from secateur.record import Record
from secateur.structure.checkpoint import load, load_tokenizer
from secateur.structure.decomposition import layout_of
from secateur.tasks.base import Task
from secateur.tasks.question_answering import QuestionAnswering

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel

NAME = "document_states"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DocumentStates:
    """How far states move in each model of a run, over a number of documents and questions."""

    dataset: str
    documents: int
    questions: int
    models: dict[str, Movement]

    def write(self, folder: Path) -> Path:
        """Write the numbers as JSON to ``folder``: for each model, over all documents and for each document."""
        path = folder / f"{NAME}.json"
        content = {
            **{name: getattr(self, name) for name in ("dataset", "documents", "questions")},
            "models": {name: movement.rows() for name, movement in self.models.items()},
            "distances": {name: movement.distances for name, movement in self.models.items()},
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return path

    def figure(self, record: Record) -> Figure:
        """A line for each model."""
        subject = f"{self.documents} documents, {self.questions} questions"
        return draw_movement(self.models, title=f"{title_of(record)}; {subject}")


def document_states(record: Record, run: Path, *, count: int, seed: int) -> DocumentStates:
    """Run both models of a finished run, or its only one, on ``count`` documents of its test split.

    They are drawn from the entire split, whatever limit the run had: few rows seldom share a document.

    Raises:
        SecateurError: if the run's data set is not extractive question answering or cannot be read, or no document is
            asked about twice.
    """
    check_at_least_one(documents=count)
    dataset = typed(OmegaConf.create(record.config["dataset"]), DatasetConfig)
    task: Task = build(dataset.task, key="dataset.task")
    if not isinstance(task, QuestionAnswering):
        raise SecateurError(f"documents={count}: dataset={dataset.name} is not extractive question answering")
    rows = task.load_rows(dataset.source())["test"]
    drawn = asked_together(rows, count=count, seed=seed)
    rows = rows.select([row for of_document in drawn for row in of_document])
    numbers = iter(range(len(rows)))
    documents = [[next(numbers) for _ in of_document] for of_document in drawn]
    tokenizer = load_tokenizer(run / "model")
    lengths = Lengths(**dataset.lengths())  # type: ignore[arg-type]  # its keys are only the lengths
    tokens = task.tokenize(rows, tokenizer, lengths)

    def laid_out(model: PreTrainedModel) -> Examples:
        return task.examples(tokens, tokenizer, dataclasses.replace(lengths, layout=layout_of(model.config)))

    models = {name: movement_of(model, task, laid_out(model), documents) for name, model in _models(record, run)}
    return DocumentStates(dataset=dataset.name, documents=len(documents), questions=len(rows), models=models)


def _models(record: Record, run: Path) -> Iterator[tuple[str, PreTrainedModel]]:
    """The run's model, preceded by the reference if that is a different model."""
    assert record.reference is not None
    assert record.compressed is not None
    if record.steps:
        yield "reference", load(run / record.reference.folder)
    yield record.method, load(run / record.compressed.folder)
