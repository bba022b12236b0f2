"""Classification and regression from files to a record: single texts, pairs, values, two test sets, stacked runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from secateur.commands.evaluate import evaluate_checkpoint
from secateur.commands.launch import config_path
from secateur.configuration.instantiation import typed
from secateur.configuration.schema import EvaluateConfig
from secateur.errors import SecateurError
from secateur.record import Record, read_record
from secateur.structure.checkpoint import load
from tests.small_runs import run

COLOURS = ("blue", "green", "red")
SIZE = ("model.epochs=1", "model.vocabulary_size=120", "dataset.max_seq_length=24")


def _single(number: int) -> dict[str, str]:
    colour = COLOURS[number % 3]
    return {"text": f"door {number} is {colour}", "label": colour}


def _pair(number: int) -> dict[str, str]:
    asked, said = COLOURS[number % 3], COLOURS[number % 2]
    return {"text": f"is door {number} {asked}?", "text_pair": f"it is {said}", "label": str(asked == said)}


def _value(number: int) -> dict[str, str]:
    return {"text": f"door {number} is {'very ' * (number % 4)}red", "label": str(number % 4)}


def _mnli(number: int) -> dict[str, str]:
    label = ("entailment", "neutral", "contradiction")[number % 3]
    return {"sentence1": f"door {number} is {COLOURS[number % 3]}", "sentence2": "it is blue", "gold_label": label}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with training and test files of each kind."""
    folder = tmp_path_factory.mktemp("files")
    for kind in (_single, _pair, _value):
        for split, count in {"train": 60, "test": 12}.items():
            _write(folder / f"{kind.__name__[1:]}_{split}.tsv", [kind(number) for number in range(count)])
    for name, count in {"train": 60, "dev_matched": 12, "dev_mismatched": 9}.items():
        _write(folder / f"{name}.tsv", [_mnli(number) for number in range(count)])
    return folder


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all: what runs have in common is made once."""
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def single(files: Path, output: Path) -> tuple[Record, Path]:
    """A compressed classifier of three classes."""
    return run("method=random", "sparsity=0.5", *_own("single", files), output=output)


@pytest.fixture(scope="module")
def pair(files: Path, output: Path, single: tuple[Record, Path]) -> tuple[Record, Path]:
    """The compressed body on other data of two classes."""
    stacked = f"model.checkpoint={single[1] / 'model'}"
    return run("method=random", "sparsity=0.7", stacked, *_own("pair", files), output=output)


def test_single_texts(single: tuple[Record, Path]) -> None:
    record, folder = single
    assert record.status == "finished"
    assert record.metric == "accuracy"
    assert record.reference is not None
    assert record.compressed is not None
    assert record.compressed.structure.heads_removed == 0.5
    for figures in (record.reference, record.compressed):
        assert list(figures.scores) == ["accuracy"]
    model = load(folder / "model")
    assert type(model).__name__.endswith("BertForSequenceClassification")
    assert model.config.id2label == dict(enumerate(COLOURS))
    predictions = json.loads((folder / "predictions.json").read_text())
    assert list(predictions) == [f"single_test.tsv:{row}" for row in range(1, 13)]
    assert set(predictions.values()) <= set(COLOURS)


def test_pairs_on_the_body_of_another_run(single: tuple[Record, Path], pair: tuple[Record, Path]) -> None:
    """Its head of three classes makes room for one of two; its dense origin, fine-tuned here, is the reference."""
    record, folder = pair
    parent, _ = single
    assert record.status == "finished"
    assert record.reference is not None
    assert record.compressed is not None
    assert parent.compressed is not None
    model, reference = (load(folder / figures.folder) for figures in (record.compressed, record.reference))
    assert model.config.id2label == reference.config.id2label == {0: "False", 1: "True"}
    assert record.compressed.structure.removed > parent.compressed.structure.removed
    assert record.reference.structure.removed == 0


@pytest.mark.parametrize(
    ("method", "first"), [("truncate", "00-remove"), ("theseus", "00-replace"), ("layerdrop", "00-drop")]
)
def test_fewer_layers_of_the_pretrained_model(
    single: tuple[Record, Path], files: Path, output: Path, method: str, first: str
) -> None:
    """The paper's way: what is cut or trained is the model before it was fine-tuned; the fine-tuned one teaches."""
    stacked = (f"model.checkpoint={single[1] / 'model'}", "method.init=pretrained", "sparsity=0.34")
    record, folder = run(f"method={method}", "distillation=patient", *stacked, *_own("pair", files), output=output)
    assert record.reference is not None
    assert record.compressed is not None
    assert record.compressed.structure.layers_removed > 0.3
    pretrained, cut, reference = (
        load(path).base_model.embeddings.word_embeddings.weight
        for path in (single[1] / "model", folder / "steps" / first / "model", folder / record.reference.folder)
    )
    assert not cut.equal(reference)
    if method == "truncate":
        assert cut.equal(pretrained)


def test_values_without_distillation(files: Path, output: Path) -> None:
    record, folder = run(
        "method=random", "sparsity=0.5", "distillation=none", *_own("value", files, "regression"), output=output
    )
    assert record.metric == "average"
    assert record.compressed is not None
    scores = record.compressed.scores
    assert scores["average"] == (scores["pearson"] + scores["spearman"]) / 2
    assert load(folder / "model").config.num_labels == 1
    assert all(isinstance(value, float) for value in json.loads((folder / "predictions.json").read_text()).values())


def test_both_dev_sets_of_mnli(files: Path, output: Path) -> None:
    """Each has its score, and their mean is what tables rank by."""
    record, folder = run("method=finetune", "dataset=mnli", f"dataset.data_dir={files}", *SIZE, output=output)
    assert record.metric == "accuracy"
    assert record.compressed is not None
    scores = record.compressed.scores
    assert list(scores) == ["accuracy_matched", "accuracy_mismatched", "accuracy"]
    assert scores["accuracy"] == (scores["accuracy_matched"] + scores["accuracy_mismatched"]) / 2
    assert record.retention == 1
    assert read_record(folder) == record


# --- secateur-evaluate, and models that answer something else ---


def _evaluated(*overrides: str, output: Path) -> dict[str, float]:
    overrides = (*overrides, "trainer=cpu", "~callbacks.progress", f"paths.output={output}", f"output={output}")
    with initialize_config_dir(config_path(), version_base="1.3"):
        composed = compose("evaluate", [*overrides])
    return evaluate_checkpoint(typed(composed, EvaluateConfig))


def test_evaluate_gives_the_scores_of_the_record(single: tuple[Record, Path], files: Path, tmp_path: Path) -> None:
    record, folder = single
    scores = _evaluated(f"checkpoint={folder / 'model'}", *_data("single", files), output=tmp_path)
    assert record.compressed is not None
    assert scores == record.compressed.scores


def test_evaluate_refuses_a_model_of_other_labels(single: tuple[Record, Path], files: Path, tmp_path: Path) -> None:
    message = r"with dataset=custom_classification: the model has 3 outputs, but the data needs 2; [^\n]*$"
    with pytest.raises(SecateurError, match=rf"^checkpoint={single[1] / 'model'} {message}"):
        _evaluated(f"checkpoint={single[1] / 'model'}", *_data("pair", files), output=tmp_path)


def test_evaluate_refuses_a_model_of_another_task(single: tuple[Record, Path], tmp_path: Path) -> None:
    message = r"a SecateurBertForSequenceClassification does not fit this task; give an AutoModelForQuestionAnswering$"
    small = ("dataset.generator.train=20", "dataset.generator.test=4", "dataset.max_seq_length=64")
    with pytest.raises(SecateurError, match=message):
        _evaluated(f"checkpoint={single[1] / 'model'}", "dataset=toy_qa", *small, output=tmp_path)


def test_a_predecessor_of_other_labels_is_refused(single: tuple[Record, Path], files: Path, output: Path) -> None:
    given = f"predecessor.checkpoint={single[1] / 'model'}"
    message = r"with dataset=custom_classification: the model has 3 outputs, but the data needs 2; [^\n]*$"
    with pytest.raises(SecateurError, match=rf"^{given} {message}"):
        run("method=random", "sparsity=0.5", given, *_own("pair", files), output=output)


def test_labels_in_another_order_are_told(single: tuple[Record, Path], files: Path, tmp_path: Path) -> None:
    order = "dataset.task.labels=[red,green,blue]"
    with pytest.raises(SecateurError, match=r"the model's labels are blue, green, red, the data's red, green, blue; "):
        _evaluated(f"checkpoint={single[1] / 'model'}", *_data("single", files), order, output=tmp_path)


def _data(kind: str, files: Path, task: str = "classification") -> list[str]:
    names = [f"dataset.{split}_files={files / f'{kind}_{split}.tsv'}" for split in ("train", "test")]
    return [f"dataset=custom_{task}", *names, "dataset.max_seq_length=24"]


def _own(kind: str, files: Path, task: str = "classification") -> list[str]:
    return [*_data(kind, files, task), *SIZE]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")


def test_fewer_layers_of_a_narrower_model_go_on_to_another_task(
    single: tuple[Record, Path], files: Path, output: Path
) -> None:
    """Theseus on a pruned model, and the result fine-tuned elsewhere: what compressing once for many tasks takes."""
    parent, folder = single
    given = (f"predecessor.checkpoint={folder / 'model'}", "sparsity=0.33", *_own("single", files))
    smaller, below = run("method=theseus", *given, output=output)
    assert smaller.parents == [parent.name]
    assert smaller.compressed is not None
    assert parent.compressed is not None
    assert smaller.compressed.structure.heads == parent.compressed.structure.heads[:2]
    body = f"model.checkpoint={below / 'model'}"
    elsewhere, _ = run("method=finetune", body, *_own("pair", files), output=output)
    assert elsewhere.parents == [smaller.name]
    assert elsewhere.compressed is not None
    assert elsewhere.compressed.structure.layers_removed == pytest.approx(1 / 3)
    assert elsewhere.compressed.structure.heads == smaller.compressed.structure.heads
