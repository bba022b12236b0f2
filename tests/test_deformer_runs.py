"""Runs of DeFormer alongside and on top of others: one dense model for all, whatever was compressed before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secateur.commands.analyze import main as analyze
from secateur.errors import SecateurError
from secateur.record import Record
from secateur.structure.checkpoint import load
from secateur.structure.decomposition import layout_of, lower_layers_of
from secateur.structure.shape import structure_sizes
from tests.commands.test_evaluate_and_measure import evaluated
from tests.small_runs import run

ONE_EPOCH = ("model.epochs=1", "dataset.generator.train=40")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def finished(output: Path) -> tuple[Record, Path]:
    return run("method=deformer", "sparsity=0.3", *ONE_EPOCH, output=output)


def test_the_dense_model_of_the_layout_stands_in_the_record_beside_the_packed_reference(
    finished: tuple[Record, Path],
) -> None:
    record, folder = finished
    assert record.reference is not None
    assert layout_of(load(folder / record.reference.folder).config) == "packed"
    segment, decompose = record.steps
    assert segment.scores is not None
    assert set(segment.scores) == set(record.reference.scores)
    dense = load(folder / "steps" / "00-segment" / "model")
    assert (layout_of(dense.config), lower_layers_of(dense.config)) == ("segmented", 0)
    assert decompose.details == {"lower_layers": 1}
    assert lower_layers_of(load(folder / "model").config) == 1


def test_the_figures_with_documents_kept_are_in_record_and_card(finished: tuple[Record, Path]) -> None:
    record, folder = finished
    assert record.compressed is not None
    assert record.compressed.cost is not None
    assert record.compressed.cost.cached_flops[16] < record.compressed.cost.flops[16]
    assert record.latency is not None
    assert all(pair.cached is not None for pair in record.latency.pairs)
    card = (folder / "model" / "README.md").read_text(encoding="utf-8")
    assert "layers that read question and document separately | 0 % | 33 %" in card
    assert ", with the document kept; " in card
    assert "outputs = model(question_ids, mask, document_states=states)" in card


def movement_in(folder: Path) -> dict[str, Any]:
    """What secateur-analyze wrote of a run's documents."""
    return json.loads((folder / "figures" / "document_states.json").read_text(encoding="utf-8"))


def means_of(movement: dict[str, Any]) -> dict[str, list[float]]:
    """How far states move after each layer, on average, by model."""
    return {name: [row["mean"] for row in rows] for name, rows in movement["models"].items()}


def test_states_of_documents_stand_still_where_they_are_read_apart(
    finished: tuple[Record, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the decomposed layer the question has no say; in the packed reference it has in every layer."""
    _, folder = finished
    analyze([str(folder), "--documents", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy_qa: 3 documents, 15 questions"  # a fourth is asked about once
    found = movement_in(folder)
    assert (found["dataset"], found["documents"], found["questions"]) == ("toy_qa", 3, 15)
    means = means_of(found)
    assert {name: len(each) for name, each in means.items()} == {"reference": 4, "deformer": 4}
    assert [len(each) for each in found["distances"]["deformer"]] == [4] * 3
    last = sum(each[-1] for each in found["distances"]["deformer"]) / 3
    assert last == pytest.approx(means["deformer"][-1])
    assert max(means["deformer"][:2]) < 1e-9
    assert min(means["deformer"][2:]) > 1e-6
    assert min(means["reference"]) > 1e-6
    assert lines[2].split()[:4] == [
        "0",
        f"{means['reference'][0]:.4f}",
        "±",
        f"{found['models']['reference'][0]['std']:.4f}",
    ]
    assert (folder / "figures" / "document_states.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_lays_inputs_out_as_the_model_reads_them(finished: tuple[Record, Path], tmp_path: Path) -> None:
    record, folder = finished
    scores = evaluated(f"checkpoint={folder / 'model'}", tmp_path=tmp_path)
    assert record.compressed is not None
    assert scores == record.compressed.scores
    predictions = json.loads((tmp_path / "predictions.json").read_text())
    assert predictions == json.loads((folder / "predictions.json").read_text())


def test_the_dense_model_is_trained_once_for_a_sweep(finished: tuple[Record, Path], output: Path) -> None:
    """Other layers, other losses, another seed: two predecessors in the store, one of each layout."""
    record, _ = run(
        "method=deformer",
        "sparsity=null",
        "method.lower_layers=2",
        "distillation=logits",
        "seed=2",
        *ONE_EPOCH,
        output=output,
    )
    assert record.steps[0].scores == finished[0].steps[0].scores
    stored = [path for path in (output / "store" / "predecessors").iterdir() if path.is_dir()]
    assert sorted(layout_of(load(path / "model").config) for path in stored) == ["packed", "segmented"]
    (outputs,) = (path for path in (output / "store" / "teachers").iterdir() if path.is_dir())
    assert any(outputs.iterdir())


def test_a_pruned_model_is_decomposed_and_a_decomposed_one_pruned(output: Path) -> None:
    """Methods stack: each keeps what the other did, and scores and teachers are of the layout that is read."""
    _, pruned = run("method=random", "sparsity=0.5", *ONE_EPOCH, output=output)
    settings = (*ONE_EPOCH, f"predecessor.checkpoint={pruned / 'model'}")
    record, folder = run("method=deformer", "sparsity=0.6", "distillation=representation", *settings, output=output)
    model = load(folder / "model")
    assert structure_sizes(model) == structure_sizes(load(pruned / "model"))
    assert lower_layers_of(model.config) == 2
    settings = (*ONE_EPOCH, f"predecessor.checkpoint={folder / 'model'}", "distillation=logits")
    record, folder = run("method=gain", "sparsity=0.25", *settings, output=output)
    assert record.compressed is not None
    assert record.compressed.structure.layers_decomposed == pytest.approx(2 / 3)
    model = load(folder / "model")
    assert lower_layers_of(model.config) == 2
    assert sum(structure_sizes(model)[0]) < sum(structure_sizes(load(pruned / "model"))[0])


def test_a_theseus_model_is_decomposed_and_no_decomposed_one_replaced(output: Path) -> None:
    """Its modules would stand in the place of layers, of which the first few read question and document apart."""
    _, small = run("method=theseus", "sparsity=0.33", *ONE_EPOCH, "method.steps.replace.epochs=1", output=output)
    settings = (*ONE_EPOCH, f"predecessor.checkpoint={small / 'model'}")
    record, folder = run("method=deformer", "sparsity=0.5", *settings, output=output)
    assert record.compressed is not None
    assert record.compressed.structure.layers_decomposed == 0.5
    assert len(structure_sizes(load(folder / "model"))[0]) == 2
    settings = (*ONE_EPOCH, f"predecessor.checkpoint={folder / 'model'}", f"model.checkpoint={small / 'model'}")
    for method in ("theseus", "truncate"):
        with pytest.raises(SecateurError, match=rf"^method={method}: cannot start from a model that reads question"):
            run(f"method={method}", "sparsity=0.5", "method.init=pretrained", *settings, output=output)


def test_what_cannot_be_read_apart_is_told_before_a_dense_model_is_trained(tmp_path: Path) -> None:
    """A document that comes to no token, and texts that are no pairs although there is room for a question."""
    rows = [{"context": f"door {n} is red.", "question": f"what is door {n}?", "answer": "red"} for n in range(20)]
    empty = [*rows, {"context": "\u200b", "question": "what is door 0?", "answer": None}]
    single = [{"text": f"door {n} is {'red' if n % 2 else 'blue'}.", "label": n % 2} for n in range(20)]
    for name, made in {"empty": empty, "single": single}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, made)), encoding="utf-8")
    for dataset, name, message in (
        ("custom_qa", "empty", r"its document is empty"),
        ("custom_classification", "single", r"its rows are single texts"),
    ):
        files = [f"dataset.{split}_files={tmp_path / name}.jsonl" for split in ("train", "test")]
        lengths = ("dataset.max_seq_length=32", "dataset.max_question_length=8", "model.vocabulary_size=120")
        answerless = "dataset.task.version_2_with_negative=true"  # or the row is refused for that
        lengths += ("dataset.doc_stride=8", answerless) if dataset == "custom_qa" else ()
        with pytest.raises(SecateurError, match=message):
            run("method=deformer", "sparsity=0.3", f"dataset={dataset}", *files, *lengths, output=tmp_path / "output")
    assert not (tmp_path / "output" / "store" / "predecessors").exists()


def test_a_model_of_shorter_questions_is_gone_on_with_and_a_warning(
    finished: tuple[Record, Path], output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own answerer takes no longer ones than it was made for."""
    settings = (*ONE_EPOCH, f"predecessor.checkpoint={finished[1] / 'model'}", "dataset.max_question_length=20")
    run("method=random", "sparsity=0.25", *settings, output=output)
    assert "dataset.max_question_length=20: the model reads questions of up to 16 tokens" in caplog.text


XLNET = (
    "model=tiny_xlnet",
    "model.architecture.hidden_size=32",
    "model.architecture.num_hidden_layers=2",
    "model.architecture.intermediate_size=48",
    "model.epochs=1",
)


def test_an_xlnet_is_decomposed_and_answers_questions(tmp_path: Path) -> None:
    """Random weights, a Unigram vocabulary made on the spot: layouts, losses, record, figures and its folder."""
    settings = (*XLNET, "dataset.generator.train=40", "distillation=representation")
    record, folder = run("method=deformer", "sparsity=0.5", *settings, output=tmp_path)
    assert record.status == "finished"
    model = load(folder / "model")
    assert (type(model).__name__, lower_layers_of(model.config)) == (
        "SecateurSegmentedXLNetForQuestionAnsweringSimple",
        1,
    )
    assert record.compressed is not None
    assert record.compressed.cost is not None
    assert record.compressed.structure.layers_decomposed == 0.5
    assert record.compressed.structure.removed == 0
    assert record.compressed.cost.cached_flops[16] < record.compressed.cost.flops[16]
    assert evaluated(f"checkpoint={folder / 'model'}", tmp_path=tmp_path) == record.compressed.scores
    analyze([str(folder), "--documents", "2"])
    means = means_of(movement_in(folder))
    assert max(means["deformer"][:2]) < 1e-9
    assert min(*means["deformer"][2:], *means["reference"][1:]) > 1e-6


def test_an_xlnet_is_decomposed_and_classifies_pairs(tmp_path: Path) -> None:
    lengths = ("dataset.max_seq_length=48", "dataset.max_question_length=16")
    settings = (*XLNET, "dataset=toy_pairs", *lengths, "dataset.generator.train=40", "dataset.generator.test=16")
    record, folder = run("method=deformer", "sparsity=0.5", *settings, output=tmp_path)
    model = load(folder / "model")
    assert type(model).__name__ == "SecateurSegmentedXLNetForSequenceClassification"
    assert record.compressed is not None
    assert "accuracy" in record.compressed.scores


def test_multiple_choice_is_decomposed_too(tmp_path: Path) -> None:
    """The article is the document, the same for all options; questions differ in how many they have."""
    colours = ("blue", "green", "red")
    for split, count in {"train": 40, "test": 8}.items():
        rows = [
            {
                "article": f"door {n} is {colours[n % 3]}.",
                "question": f"door {n} is _.",
                "options": list(colours[: 3 if n % 3 == 2 else 2]),
                "answer": n % 3,
            }
            for n in range(count)
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = [f"dataset.{split}_files={tmp_path / split}.jsonl" for split in ("train", "test")]
    lengths = ("dataset.max_seq_length=32", "dataset.max_question_length=10", "model.vocabulary_size=120")
    settings = ("dataset=custom_multiple_choice", *files, *lengths, "model.epochs=1", "distillation=representation")
    record, folder = run("method=deformer", "sparsity=0.3", *settings, output=tmp_path / "output")
    assert record.compressed is not None
    assert set(record.compressed.scores) == {"accuracy"}
    assert record.compressed.cost is not None
    assert record.compressed.cost.cached_flops[16] < record.compressed.cost.flops[16]
    assert lower_layers_of(load(folder / "model").config) == 1


OVERFITTING = (
    *("model.vocabulary_size=120", "model.epochs=60", "model.learning_rate=1e-3", "distillation=none"),
    *("model.architecture.hidden_dropout_prob=0", "model.architecture.attention_probs_dropout_prob=0"),
    *("dataset.max_seq_length=32", "dataset.max_question_length=10"),
)


@pytest.mark.parametrize("kind", ["custom_multiple_choice", "custom_classification"])
def test_a_toy_in_the_shape_of_race_or_boolq_is_learnt_by_heart_and_kept_documents_change_nothing(
    kind: str, tmp_path: Path
) -> None:
    """The path can learn: where scores on the real data say little, they are not the path's fault."""
    colours = ("blue", "green", "red")
    made: dict[str, Callable[[int], dict[str, Any]]] = {
        "custom_multiple_choice": lambda n: {
            "article": f"door {n} is {colours[n % 3]}.",
            "question": f"door {n} is _.",
            "options": list(colours),
            "answer": n % 3,
        },
        "custom_classification": lambda n: {
            "text": f"is door {n} blue?",
            "text_pair": f"door {n} is {colours[n % 3]}.",
            "label": "yes" if n % 3 == 0 else "no",
        },
    }
    lines = (json.dumps(made[kind](n)) for n in range(40))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = [f"dataset.{split}_files={tmp_path / 'rows.jsonl'}" for split in ("train", "test")]
    pairs = ("dataset.columns.text_pair=text_pair",) if kind == "custom_classification" else ()
    asked = (f"dataset={kind}", *files, *pairs, *OVERFITTING)
    record, _ = run("method=deformer", "sparsity=0.3", *asked, output=tmp_path / "output")
    assert record.compressed is not None
    assert record.compressed.scores["accuracy"] > 89  # a tenth of the rows is val, and was never trained on
    assert record.compressed.cost is not None
    assert record.compressed.cost.cache_difference is not None
    assert record.compressed.cost.cache_difference < 1e-5


@pytest.mark.parametrize("model_type", ["roberta", "electra", "distilbert"])
def test_every_architecture_is_trained_apart_and_its_states_looked_at(
    model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of RoBERTa's positions, ELECTRA's narrow embeddings and DistilBERT's missing segments none is BERT's."""
    chosen = (f"model.architecture.model_type={model_type}", "model.vocabulary_size=600")
    record, folder = run(
        "method=deformer", "sparsity=0.3", "distillation=representation", *chosen, *ONE_EPOCH, output=tmp_path
    )
    assert record.compressed is not None
    assert record.compressed.structure.layers_decomposed == pytest.approx(1 / 3)
    assert record.compressed.cost is not None
    assert record.compressed.cost.cache_difference is not None
    assert record.compressed.cost.cache_difference < 1e-5
    assert load(folder / "model").config.model_type == model_type
    analyze([str(folder), "--documents", "2"])
    capsys.readouterr()
    means = means_of(movement_in(folder))
    assert max(means["deformer"][:2]) < 1e-9
    assert min(means["deformer"][2:]) > 1e-6
    assert min(means["reference"][1:]) > 1e-6


def test_questions_without_an_answer_are_read_apart_too(tmp_path: Path) -> None:
    """SQuAD 2.0's files, scores and null answer, by a model with the document kept."""
    context = "door {n} is {colour} and old. It stands beside house {n}."
    articles = [
        {
            "title": f"door {n}",
            "paragraphs": [
                {
                    "context": (text := context.format(n=n, colour=("blue", "green", "red")[n % 3])),
                    "qas": [
                        {
                            "id": f"{n}-yes",
                            "question": f"what is door {n}?",
                            "is_impossible": False,
                            "answers": [{"text": text[:6], "answer_start": 0}],
                        },
                        {"id": f"{n}-no", "question": f"who painted door {n}?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
        for n in range(24)
    ]
    for name, part in {"train": articles[:16], "dev": articles[16:]}.items():
        (tmp_path / f"{name}-v2.0.json").write_text(json.dumps({"version": "v2.0", "data": part}), encoding="utf-8")
    lengths = ("dataset.max_seq_length=48", "dataset.max_question_length=16", "dataset.doc_stride=8")
    asked = (
        "dataset=squad_v2",
        f"dataset.data_dir={tmp_path}",
        *lengths,
        "model.vocabulary_size=200",
        "model.epochs=1",
    )
    record, _ = run("method=deformer", "sparsity=0.3", *asked, output=tmp_path / "output")
    assert record.compressed is not None
    assert {"f1", "has_ans_f1", "no_ans_f1", "best_f1"} <= record.compressed.scores.keys()
    assert record.compressed.cost is not None
    assert record.compressed.cost.cache_difference is not None
    assert record.compressed.cost.cache_difference < 1e-5


def test_a_run_is_exported_as_a_pair_and_timed_with_documents_kept(tmp_path: Path) -> None:
    record, folder = run("method=deformer", "sparsity=0.3", "export=onnx", *ONE_EPOCH, output=tmp_path)
    assert record.onnx is not None
    assert {path.name for path in (folder / "onnx").glob("*.onnx")} == {"document_encoder.onnx", "answering_model.onnx"}
    assert record.onnx.largest_difference < 1e-4
    assert record.latency is not None
    (timed,) = (pair for pair in record.latency.pairs if pair.runtime == "onnxruntime")
    assert timed.cached is not None
    assert timed.cached.p50 > 0
