"""The predecessor is trained once for all runs with the same settings, and every run finds its dense reference."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from secateur.configuration.checks import checked
from secateur.configuration.schema import Config, ModelConfig
from secateur.errors import SecateurError
from secateur.methods.finetune import FineTuning
from secateur.models import fresh_model
from secateur.record import ModelFigures, write_record
from secateur.runs import predecessor
from secateur.runs.predecessor import (
    check_predecessor,
    parent_of,
    predecessor_folder,
    pretrained_model,
    reference_folder,
    segmented_folder,
    start_folder,
)
from secateur.runs.workshop import Workshop, open_workshop
from secateur.structure.checkpoint import load, load_tokenizer, save_model
from tests.architectures import random_model
from tests.small_runs import composed
from tests.test_record import make

SETTINGS = ("dataset.generator.train=40", "model.epochs=1")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return checked(composed(*SETTINGS, output=tmp_path_factory.mktemp("output")))


@pytest.fixture(scope="module")
def workshop(config: Config) -> Workshop:
    return open_workshop(config, config.model)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ModelConfig]:
    """The models that predecessors are asked of; none is trained."""
    models: list[ModelConfig] = []

    def folder(_workshop: Workshop, model: ModelConfig, _predecessor: Any) -> Path:
        models.append(model)
        return Path("store/predecessors/dense/model")

    monkeypatch.setattr(predecessor, "predecessor_folder", folder)
    return models


def test_is_trained_once(workshop, config, monkeypatch):
    """The second call finds it; what lies there loads by itself, and no half of it is left."""
    runs: list[FineTuning] = []
    plain = FineTuning.run
    monkeypatch.setattr(FineTuning, "run", lambda step, *args: runs.append(step) or plain(step, *args))
    folder = predecessor_folder(workshop, config.model, config.predecessor)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert predecessor_folder(workshop, config.model, config.predecessor) == folder
    assert len(runs) == 1
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model", "training.json"]
    assert not list(folder.parents[1].glob("*.partial"))
    summary = json.loads((folder.parent / "training.json").read_text(encoding="utf-8"))
    assert summary["examples"] == len(workshop.data.examples["train"])
    assert summary["seconds"] > 0
    workshop.check_head(load(folder), key="folder")
    assert load_tokenizer(folder).get_vocab() == workshop.tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("predecessor.seed", 2),
        ("predecessor.epochs", 2),
        ("predecessor.batch_size", 8),
        ("predecessor.accumulate_grad_batches", 2),
        ("predecessor.learning_rate", 0.5),
        ("predecessor.weight_decay", 0.5),
        ("predecessor.warmup_ratio", 0.5),
        ("predecessor.max_grad_norm", 0.5),
        ("dataset.limit_train", 20),
        ("dataset.generator.seed", 1),
        ("dataset.max_seq_length", 56),
        ("dataset.max_question_length", 12),
        ("dataset.doc_stride", 4),
        ("dataset.task.version_2_with_negative", False),
        ("model.architecture.hidden_size", 64),
        ("model.vocabulary_size", 300),
        ("trainer.precision", "bf16-mixed"),
    ],
)
def test_what_shapes_the_model_is_in_its_key(workshop, config, monkeypatch, key, value):
    assert _key(workshop, _changed(config, key, value), monkeypatch) != _key(workshop, config, monkeypatch)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.limit_test", 5),
        ("seed", 7),
        ("sparsity", 0.1),
        ("evaluation.batch_size", 3),
        ("trainer.log_every_n_steps", 1),
    ],
)
def test_what_does_not_shape_the_model_is_not(workshop, config, monkeypatch, key, value):
    assert _key(workshop, _changed(config, key, value), monkeypatch) == _key(workshop, config, monkeypatch)


def test_the_layout_is_in_its_key_and_a_given_start_in_that_of_its_twin(workshop, config, monkeypatch, tmp_path):
    """What is fine-tuned in slots of its own is never taken for the packed model, nor one start for another."""
    asked = []
    monkeypatch.setattr(predecessor, "made_once", lambda folder, *_, **__: asked.append(folder.name) or folder)
    predecessor_folder(workshop, config.model, config.predecessor)
    segmented_folder(workshop, config.model, config.predecessor)
    for seed in (1, 2):
        start = fresh_model(
            config.model, auto_class=workshop.task.auto_class, head={}, tokenizer=workshop.tokenizer, seed=seed
        )
        save_model(start, workshop.tokenizer, tmp_path / str(seed))
        given = dataclasses.replace(config.predecessor, checkpoint=str(tmp_path / str(seed)))
        segmented_folder(workshop, config.model, given)
    assert len(set(asked)) == 4


def test_another_version_of_a_library_trains_another_model(workshop, config, monkeypatch):
    before = _key(workshop, config, monkeypatch)
    monkeypatch.setattr(predecessor, "library_versions", lambda: {"torch": "9"})
    assert _key(workshop, config, monkeypatch) != before


def test_a_checkpoint_counts_by_content_not_by_place(workshop, config, monkeypatch, tmp_path):
    """And what is left in the config of an architecture that it replaces does not count."""
    keys = []
    for place, seed in (("one", 1), ("two", 1), ("three", 2)):
        model = fresh_model(
            config.model, auto_class=workshop.task.auto_class, head={}, tokenizer=workshop.tokenizer, seed=seed
        )
        save_model(model, workshop.tokenizer, tmp_path / place)
        given = dataclasses.replace(config.model, checkpoint=str(tmp_path / place))
        keys.append(_key(workshop, dataclasses.replace(config, model=given), monkeypatch))
    assert keys[0] == keys[1] != keys[2]
    bare = dataclasses.replace(given, architecture=None, vocabulary_size=None)
    assert _key(workshop, dataclasses.replace(config, model=bare), monkeypatch) == keys[2]


def test_a_run_starts_from_the_predecessor_or_from_what_is_given(workshop, config, asked):
    given = dataclasses.replace(config.predecessor, checkpoint="runs/a/model")
    assert start_folder(workshop, config.model, given) == Path("runs/a/model")
    assert asked == []
    assert start_folder(workshop, config.model, config.predecessor) == Path("store/predecessors/dense/model")
    assert asked == [config.model]


def test_reference_of_a_plain_run_is_its_predecessor(workshop, config, asked):
    found = reference_folder(workshop, config.model, config.predecessor, reference="auto")
    assert found == start_folder(workshop, config.model, config.predecessor)


def test_reference_of_a_stacked_run_is_its_parent_s(workshop, config, asked, monkeypatch, tmp_path):
    """From generation to generation, wherever each run lies; its record names the folder from where itself lies."""
    monkeypatch.chdir(tmp_path)
    _run(tmp_path / "runs/parent", reference="../../store/dense/model")
    _run(tmp_path / "sweeps/first/child", reference="../../../store/dense/model")
    for checkpoint in ("runs/parent/model", "sweeps/first/child/model", str(tmp_path / "runs/parent/model/")):
        given = dataclasses.replace(config.predecessor, checkpoint=checkpoint)
        found = reference_folder(workshop, config.model, given, reference="auto")
        assert found.absolute() == tmp_path / "store/dense/model"
        assert start_folder(workshop, config.model, given) == Path(checkpoint)
    assert asked == []


def test_reference_of_a_model_from_elsewhere_is_that_model(workshop, config, asked, tmp_path):
    """A fine-tuned model that no run of ours made has no parent to inherit from."""
    given = dataclasses.replace(config.predecessor, checkpoint=str(tmp_path / "model"))
    assert reference_folder(workshop, config.model, given, reference="auto") == tmp_path / "model"
    assert asked == []


def test_reference_of_a_run_on_another_dataset_is_the_parent_s_fine_tuned_here(
    workshop, config, asked, monkeypatch, tmp_path
):
    """Start and reference are both trained on this data: one from the compressed model, one from its dense origin."""
    monkeypatch.chdir(tmp_path)
    _run(tmp_path / "runs/parent", reference="../../store/dense/model")
    model = dataclasses.replace(config.model, checkpoint="runs/parent/model")
    reference_folder(workshop, model, config.predecessor, reference="auto")
    start_folder(workshop, model, config.predecessor)
    assert asked == [dataclasses.replace(model, checkpoint="store/dense/model"), model]


def test_a_reference_that_is_given_goes_before_all_else(workshop, config, asked, tmp_path):
    _run(tmp_path / "parent", reference="../dense/model")
    for settings in ({}, {"checkpoint": str(tmp_path / "parent/model")}):
        given = dataclasses.replace(config.predecessor, **settings)
        assert reference_folder(workshop, config.model, given, reference="my/dense") == Path("my/dense")
    assert asked == []


def test_a_parent_without_a_reference_is_told_in_one_line(workshop, config, tmp_path):
    """It failed, or is still under way."""
    _run(tmp_path / "parent", reference=None)
    given = dataclasses.replace(config.predecessor, checkpoint=str(tmp_path / "parent/model"))
    with pytest.raises(SecateurError, match=r"^reference=auto: the parent run parent has no reference; [^\n]*$"):
        reference_folder(workshop, config.model, given, reference="auto")


def test_only_the_model_of_a_run_has_a_parent(tmp_path):
    _run(tmp_path / "parent", reference="../dense/model")
    parent = parent_of(str(tmp_path / "parent/model"))
    assert parent is not None
    assert parent.name == "parent"
    assert parent_of(None) is None
    assert parent_of("google-bert/bert-base-uncased") is None
    assert parent_of(str(tmp_path / "store/predecessors/key/model")) is None


def test_given_folders_that_hold_no_model_are_refused_early(config, tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    whole = dataclasses.replace(config.predecessor, checkpoint=str(tmp_path))
    check_predecessor(config.model, whole, reference="auto")
    check_predecessor(config.model, whole, reference=str(tmp_path))
    missing = dataclasses.replace(config.predecessor, checkpoint="nowhere")
    with pytest.raises(SecateurError, match=r"^predecessor\.checkpoint=nowhere: not a model folder; [^\n]*$"):
        check_predecessor(config.model, missing, reference="auto")
    with pytest.raises(SecateurError, match=r"^reference=nowhere: not a model folder; [^\n]*$"):
        check_predecessor(config.model, config.predecessor, reference="nowhere")


def test_a_parent_s_reference_that_is_not_there_is_told_before_anything_is_trained(config, tmp_path):
    """The run was moved, or its store was deleted."""
    _run(tmp_path / "parent", reference="../dense/model")
    (tmp_path / "parent/model").mkdir()
    (tmp_path / "parent/model/config.json").write_text("{}", encoding="utf-8")
    model = dataclasses.replace(config.model, checkpoint=str(tmp_path / "parent/model"))
    given = dataclasses.replace(config.predecessor, checkpoint=str(tmp_path / "parent/model"))
    for settings in ((config.model, given), (model, config.predecessor)):
        with pytest.raises(
            SecateurError, match=r"^reference=auto: .*dense/model, the reference of the parent run parent"
        ):
            check_predecessor(*settings, reference="auto")
        check_predecessor(*settings, reference=str(tmp_path / "parent/model"))


def test_settings_of_the_predecessor_are_told_by_their_keys(config):
    settings = dataclasses.replace(config.predecessor, epochs=0.0)
    with pytest.raises(SecateurError, match=r"^predecessor\.epochs=0\.0: must be above 0$"):
        check_predecessor(config.model, settings, reference="auto")


def test_a_reference_of_another_vocabulary_or_task_is_refused(workshop, config, tmp_path):
    """On tokens of another model it would score as if it knew nothing, and the run would look good beside it."""
    dense = pretrained_model(workshop, config.model, seed=0)
    save_model(dense, workshop.tokenizer, tmp_path / "dense")
    workshop.check_reference(tmp_path / "dense")
    words = [["door", "blue", "red", "is", "the"]] * 20
    other = workshop.tokenizer.train_new_from_iterator(words, vocab_size=60)
    save_model(dense, other, tmp_path / "other")
    with pytest.raises(SecateurError, match=r"^reference=.*other: has another vocabulary than the compressed model"):
        workshop.check_reference(tmp_path / "other")
    save_model(random_model("bert", task="SequenceClassification"), workshop.tokenizer, tmp_path / "classifier")
    with pytest.raises(SecateurError, match=r"^reference=.*classifier"):
        workshop.check_reference(tmp_path / "classifier")


def _changed(config: Config, key: str, value: Any) -> Config:
    """The config with another value at a key that it has."""
    *parents, last = key.split(".")
    changed = node = copy.deepcopy(config)
    for name in parents:
        node = node[name] if isinstance(node, dict) else getattr(node, name)
    before = node[last] if isinstance(node, dict) else getattr(node, last)
    assert before != value
    node.update({last: value}) if isinstance(node, dict) else setattr(node, last, value)
    return changed


def _key(workshop: Workshop, config: Config, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store's key for the predecessor of ``config``, which is not trained."""
    trainer = {name: value for name, value in config.trainer.items() if name in workshop.arithmetic}
    here = dataclasses.replace(workshop, dataset=config.dataset, arithmetic=trainer)
    with monkeypatch.context() as patch:
        patch.setattr(predecessor, "made_once", lambda folder, _make, **_: folder)
        return predecessor_folder(here, config.model, config.predecessor).parent.name.rpartition("-")[2]


def _run(folder: Path, *, reference: str | None) -> None:
    """A run folder with nothing but its record."""
    folder.mkdir(parents=True)
    figures = None if reference is None else ModelFigures(folder=reference)
    record = make(name=folder.name, reference=figures)
    write_record(record, folder)
