"""The teacher runs once: its outputs are read back unchanged by every run that needs them, and by no other."""

from __future__ import annotations

import copy
import dataclasses
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from transformers import PreTrainedModel

from secateur.configuration.checks import checked
from secateur.configuration.schema import Config
from secateur.data.examples import Batch, Examples
from secateur.data.task_data import TaskData
from secateur.distillation import LogitsDistillation
from secateur.distillation.teacher import TeacherOutputs, write_teacher_outputs
from secateur.errors import SecateurError
from secateur.models import fresh_model
from secateur.runs import workshop as workshop_module
from secateur.runs.workshop import Workshop, open_workshop
from secateur.structure.checkpoint import load, save_model
from secateur.tasks.base import Distilled, Task
from tests.contract.test_resume import assert_same
from tests.small_runs import Killed, composed, run

# --- A task whose outputs are made up, so that they can be anything ---


class Table(Examples):
    """Examples of some classes each; a batch is as wide as its widest, and what stands beside is rubbish."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = [torch.tensor(row) for row in rows]
        self.lengths = np.array([len(row) for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, items: list[int]) -> Batch:
        logits = torch.full((len(items), int(self.lengths[items].max())), 77.0)
        mask = torch.zeros_like(logits, dtype=torch.bool)
        for place, item in enumerate(items):
            logits[place, : len(self.rows[item])] = self.rows[item]
            mask[place, : len(self.rows[item])] = True
        return {"items": torch.tensor(items), "logits": logits, "mask": mask}


class Told:
    """Says what the table holds, and half of it beside."""

    def __init__(self, *, masked: bool = True, is_value: bool = False) -> None:
        self.masked = masked
        self.is_value = is_value

    def forward(self, _model: nn.Module, batch: Batch) -> Batch:
        return batch

    def distilled(self, outputs: Batch, batch: Batch) -> list[Distilled]:
        mask = batch["mask"] if self.masked else None
        return [
            Distilled(logits=logits, mask=mask, is_value=self.is_value)
            for logits in (outputs["logits"], outputs["logits"] / 2)
        ]


def _written(table: Table, task: Told, folder: Path, **options: Any) -> TeacherOutputs:
    shown = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    write_teacher_outputs(
        cast(PreTrainedModel, nn.Linear(1, 1)),
        cast(Task, task),
        TaskData({"train": table}, eval_batch_size=4),
        trainer=pl.Trainer(accelerator="cpu", logger=False, **shown, **options),
        folder=folder,
    )
    return TeacherOutputs(folder)


def _read(outputs: TeacherOutputs, task: Told, batch: Batch) -> tuple[list[Distilled], list[Distilled]]:
    """What was stored of a batch, beside what the task says of it; the student is of another opinion."""
    said = task.distilled(batch, batch)
    student = [dataclasses.replace(each, logits=torch.randn_like(each.logits)) for each in said]
    return outputs.read(batch["items"], like=student), said


def _rows(*sizes: int, scale: float = 3.0) -> list[list[float]]:
    generator = torch.Generator().manual_seed(0)
    return [(scale * torch.randn(size, generator=generator)).tolist() for size in sizes]


@pytest.mark.parametrize("batch_size", [1, 3, 11])
def test_every_example_gets_its_own_distributions_back_in_any_company(tmp_path, batch_size):
    """Order, neighbours and padding are others than in the pass; so is the temperature, of which it knows nothing."""
    table, task = Table(_rows(5, 2, 9, 1, 7, 7, 3, 9, 4, 6, 8)), Told()
    outputs = _written(table, task, tmp_path)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
    for items in order.split(batch_size):
        for ours, said in zip(*_read(outputs, task, table.collate(items.tolist())), strict=True):
            assert ours.mask is said.mask
            assert ours.logits.dtype == torch.float32
            for temperature in (0.5, 1.0, 4.0):
                expected = said.log_probabilities(temperature=temperature).exp()
                found = ours.log_probabilities(temperature=temperature).exp()
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=2e-2 / temperature)


def test_without_a_mask_all_classes_count(tmp_path):
    """As with the options of a multiple choice."""
    table, task = Table(_rows(4, 4, 4, 4, 4, 4)), Told(masked=False)
    ours, said = _read(_written(table, task, tmp_path), task, table.collate([5, 0, 3]))
    assert ours[0].mask is None
    torch.testing.assert_close(ours[0].logits, said[0].logits.log_softmax(-1), atol=0, rtol=1e-3)


def test_values_of_a_regression_stay_as_they_are(tmp_path):
    table, task = Table(_rows(1, 1, 1, 1, 1)), Told(masked=False, is_value=True)
    ours, said = _read(_written(table, task, tmp_path), task, table.collate([4, 2, 0]))
    assert all(each.is_value for each in ours)
    torch.testing.assert_close(ours[0].logits, said[0].logits, atol=0, rtol=1e-3)
    assert (ours[0].logits != 0).all()


def test_logits_beyond_half_precision_keep_their_distribution(tmp_path):
    """Not their size counts but by how much they differ."""
    table = Table([[1e6 + 1.0, 1e6 + 2.0, -1e30], [-1e30, 0.5, 0.25], [2e5, 1e5, 0.0], [0.0, 1.0, -torch.inf]])
    task = Told()
    ours, said = _read(_written(table, task, tmp_path), task, table.collate([0, 1, 2, 3]))
    assert ours[0].logits.isfinite().all()
    for temperature in (1.0, 100.0):
        found, expected = (each.log_probabilities(temperature=temperature).exp() for each in (ours[0], said[0]))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("row", "is_value"),
    [([0.0, torch.nan], False), ([0.0, torch.inf], False), ([torch.nan], True), ([7e4], True), ([-torch.inf], True)],
)
def test_outputs_that_half_precision_cannot_hold_are_refused_in_one_line(tmp_path, row, is_value):
    """Infinity would come back as a loss that is no number, hours later. Nothing is kept."""
    with pytest.raises(SecateurError, match=r"^the teacher's outputs are not finite, or beyond ±65504; [^\n]*$"):
        _written(Table([*_rows(*[len(row)] * 9), row]), Told(is_value=is_value), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pass_over_a_part_is_not_taken_for_the_whole(tmp_path):
    message = r"^trainer: its settings restrict the teacher to 4 of 9 training examples; [^\n]*$"
    with pytest.raises(SecateurError, match=message):
        _written(Table(_rows(*[3] * 9)), Told(), tmp_path, limit_predict_batches=1)
    assert not list(tmp_path.iterdir())


def test_takes_on_disk_what_the_docstring_says(tmp_path):
    """Beside the headers of four files."""
    _written(Table(_rows(*[170] * 50)), Told(), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) == 50 * 712 + 4 * 128


# --- A real model on made-up questions ---


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    settings = ("dataset.generator.train=40", "model.architecture.initializer_range=0.2", "evaluation.batch_size=8")
    return checked(composed(*settings, output=tmp_path_factory.mktemp("output")))


@pytest.fixture(scope="module")
def shop(config: Config) -> Workshop:
    return open_workshop(config, config.model)


@pytest.fixture
def own(shop: Workshop, tmp_path: Path) -> Workshop:
    """The same with a store that is empty but for the tokens."""
    return dataclasses.replace(shop, store=tmp_path)


@pytest.fixture(scope="module")
def teacher(config: Config, shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(config, shop, tmp_path_factory.mktemp("teacher"), seed=1)


@pytest.fixture
def forwards(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, list[int]]]:
    """Of each forward pass whether it was in training mode, and over which examples it went."""
    seen: list[tuple[bool, list[int]]] = []
    plain = shop.task.forward

    def forward(model: PreTrainedModel, batch: Batch) -> Any:
        seen.append((any(module.training for module in model.modules()), batch["items"].tolist()))
        return plain(model, batch)

    monkeypatch.setattr(shop.task, "forward", forward)
    return seen


def test_is_the_same_as_a_live_teacher_within_half_precision(config, shop, own, teacher):
    """In the batches of a training, for a student that has yet to learn."""
    outputs, live, loss = (
        own.teacher_outputs(teacher),
        load(teacher).eval(),
        LogitsDistillation(temperature=2.0, alpha=1.0),
    )
    student = fresh_model(
        config.model, auto_class=shop.task.auto_class, head={}, tokenizer=shop.tokenizer, seed=2
    ).eval()
    for batch in shop.data.train_loader(batch_size=16, seed=1):
        with torch.no_grad():
            mine, theirs = (shop.task.distilled(shop.task.forward(each, batch), batch) for each in (student, live))
        read = outputs.read(batch["items"], like=mine)
        for stored, said in zip(read, theirs, strict=True):
            found, expected = (each.log_probabilities().exp() for each in (stored, said))
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-2)
        found, expected = (loss.loss(torch.tensor(0.0), mine, each) for each in (read, theirs))
        torch.testing.assert_close(found, expected, atol=0, rtol=1e-3)


def test_is_computed_once(own, teacher, forwards, caplog):
    """Every example once, in evaluation mode; the next one to ask computes nothing."""
    with caplog.at_level(logging.INFO, logger="secateur.runs.workshop"):
        own.teacher_outputs(teacher)
        assert not any(training for training, _ in forwards)
        assert sorted(item for _, items in forwards for item in items) == [*range(len(own.data.examples["train"]))]
        forwards.clear()
        dataclasses.replace(own).teacher_outputs(teacher)
    assert not forwards
    (folder,) = (path for path in (own.store / "teachers").iterdir() if path.is_dir())
    said = [record.getMessage() for record in caplog.records if record.name == "secateur.runs.workshop"]
    made, read = f"computing the outputs of the teacher {teacher} over", f"reading the teacher's outputs from {folder}"
    assert said[0].startswith(made)
    assert said[1:] == [read, read]


def test_killed_on_the_way_it_begins_anew(own, teacher, forwards, monkeypatch):
    """And half a file that was left of the writing is written over."""
    plain = own.task.forward

    def dying(model: PreTrainedModel, batch: Batch) -> Any:
        if len(forwards) == 2:
            raise Killed
        return plain(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(own.task, "forward", dying)
        with pytest.raises(Killed):
            own.teacher_outputs(teacher)
    assert not [path for path in (own.store / "teachers").iterdir() if path.is_dir()]
    whole = _contents(own, teacher)
    (folder,) = (path for path in (own.store / "teachers").iterdir() if path.is_dir())
    partial = folder.rename(folder.with_name(folder.name + ".partial"))
    written = partial / "distribution-01/values.npy"
    written.write_bytes(written.read_bytes()[:200])
    assert _contents(own, teacher) == whole
    assert not partial.exists()


def test_ends_when_it_is_told_to(own, teacher, forwards, monkeypatch):
    plain = own.task.forward

    def told(model: PreTrainedModel, batch: Batch) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return plain(model, batch)

    monkeypatch.setattr(own.task, "forward", told)
    with pytest.raises(SystemExit):
        own.teacher_outputs(teacher)
    assert len(forwards) == 1
    assert not [path for path in (own.store / "teachers").iterdir() if path.is_dir()]


def test_another_teacher_says_something_else(config, own, teacher, tmp_path):
    """A teacher counts by content, not by place."""
    same, other = (_saved(config, own, tmp_path / f"model{seed}", seed=seed) for seed in (1, 2))
    assert _key(own, config, teacher) == _key(own, config, same) != _key(own, config, other)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.limit_train", 20),
        ("dataset.generator.seed", 1),
        ("dataset.max_seq_length", 56),
        ("dataset.max_question_length", 12),
        ("dataset.doc_stride", 4),
        ("trainer.precision", "bf16-mixed"),
    ],
)
def test_what_shapes_the_outputs_is_in_their_key(own, config, teacher, key, value):
    assert _key(own, _changed(config, key, value), teacher) != _key(own, config, teacher)


@pytest.mark.parametrize(
    ("key", "value"),
    [("dataset.limit_test", 5), ("seed", 7), ("sparsity", 0.1), ("trainer.log_every_n_steps", 1)],
)
def test_what_does_not_shape_the_outputs_is_not(own, config, teacher, key, value):
    assert _key(own, _changed(config, key, value), teacher) == _key(own, config, teacher)


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers"])
def test_another_version_of_a_library_speaks_otherwise(own, config, teacher, monkeypatch, library):
    before = _key(own, config, teacher)
    monkeypatch.setattr(getattr(workshop_module, library), "__version__", "9.0")
    assert _key(own, config, teacher) != before


# --- Whole runs ---

DISTILLED = ("method=control", "distillation=logits", "dataset.generator.train=40", "model.epochs=1")


@pytest.fixture
def teachings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that a teacher's outputs were computed into."""
    folders: list[Path] = []
    plain: Callable[..., None] = workshop_module.write_teacher_outputs

    def write(*args: Any, folder: Path, **options: Any) -> None:
        folders.append(folder)
        plain(*args, folder=folder, **options)

    monkeypatch.setattr(workshop_module, "write_teacher_outputs", write)
    return folders


def test_a_second_distilled_run_computes_none(tmp_path, teachings):
    """Whatever its seed, its temperature and its weights; and it ends as if it had computed them, to the bit."""
    first = run(*DISTILLED, output=tmp_path)
    assert len(teachings) == 1
    run(*DISTILLED, "seed=2", "distillation.loss.temperature=4", "distillation.loss.alpha=0.5", output=tmp_path)
    again = run(*DISTILLED, f"paths.store={tmp_path / 'store'}", output=tmp_path / "again")
    assert len(teachings) == 1
    assert_same(first, again)


def test_a_run_without_distillation_asks_no_teacher(tmp_path, teachings):
    run(*DISTILLED, "distillation=none", output=tmp_path)
    assert not teachings
    assert not (tmp_path / "store/teachers").exists()


def _saved(config: Config, shop: Workshop, folder: Path, *, seed: int) -> Path:
    model = fresh_model(config.model, auto_class=shop.task.auto_class, head={}, tokenizer=shop.tokenizer, seed=seed)
    save_model(model, shop.tokenizer, folder)
    return folder


def _contents(shop: Workshop, teacher: Path) -> list[Any]:
    batch = next(iter(shop.data.eval_loader("train")))
    like = [Distilled(logits=torch.zeros(batch["input_ids"].shape), mask=batch["attention_mask"].bool())] * 2
    return [each.logits.tolist() for each in shop.teacher_outputs(teacher).read(batch["items"], like=like)]


def _changed(config: Config, key: str, value: Any) -> Config:
    """The config with another value at a key that it has."""
    *parents, last = key.split(".")
    changed = node = copy.deepcopy(config)
    for name in parents:
        node = node[name] if isinstance(node, dict) else getattr(node, name)
    node.update({last: value}) if isinstance(node, dict) else setattr(node, last, value)
    return changed


def _key(shop: Workshop, config: Config, teacher: Path) -> str:
    """The store's key for the outputs of a teacher, which is not asked."""
    trainer = {name: value for name, value in config.trainer.items() if name in shop.arithmetic}
    here = dataclasses.replace(shop, dataset=config.dataset, arithmetic=trainer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop_module, "made_once", lambda folder, _make, **_: folder)
        patch.setattr(workshop_module, "TeacherOutputs", lambda folder: folder)
        return cast(Path, here.teacher_outputs(teacher)).name
