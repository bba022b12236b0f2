"""Plain text, from files to a record: methods, heads and kills on masked language modelling; the body's next task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from secateur.commands.evaluate import evaluate_checkpoint
from secateur.commands.launch import config_path
from secateur.configuration.instantiation import typed
from secateur.configuration.schema import EvaluateConfig
from secateur.errors import SecateurError
from secateur.record import Record
from secateur.report.stages import stage_rows
from secateur.structure.checkpoint import load
from tests.contract.test_resume import EVERY_STEP, assert_same
from tests.small_runs import Killed, kill_at, run

SCORES = ["mlm_accuracy", "mlm_loss", "perplexity", "nsp_accuracy"]
COLOURS = ("blue", "green", "red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents of two to five paragraphs."""
    folder = tmp_path_factory.mktemp("text")
    _write(folder / "wiki.txt", documents=40)
    return folder


def _write(file: Path, *, documents: int) -> None:
    texts = [
        "\n".join(f"door {n} of house {k} is {COLOURS[(n + k) % 3]} and old" for k in range(2 + n % 4))
        for n in range(documents)
    ]
    file.write_text("\n\n".join(texts), encoding="utf-8")


@pytest.fixture(scope="module")
def text(folder: Path) -> tuple[str, ...]:
    """The overrides that train on it."""
    return (
        "dataset=custom_text",
        f"dataset.data_dir={folder}",
        "dataset.max_seq_length=32",
        "model.vocabulary_size=150",
        "model.epochs=2",
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One output folder for all: what runs have in common is made once."""
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def gain(text: tuple[str, ...], output: Path) -> tuple[Record, Path]:
    return run("method=gain", "sparsity=0.5", "export=onnx", EVERY_STEP, *text, output=output)


def test_a_run_scores_measures_and_exports(gain: tuple[Record, Path]) -> None:
    record, folder = gain
    assert record.status == "finished"
    assert record.metric == "mlm_accuracy"
    assert record.reference is not None
    assert record.compressed is not None
    assert record.compressed.structure.heads_removed == 0.5
    for figures in (record.reference, record.compressed):
        assert list(figures.scores) == SCORES
        assert figures.cost is not None
    assert record.latency is not None
    assert record.onnx is not None
    assert record.onnx.largest_difference < 1e-4
    assert "| perplexity |" in (folder / "model" / "README.md").read_text()
    model = load(folder / "model")
    assert type(model).__name__ == "SecateurBertForPreTraining"
    assert model.config.auto_map == {"AutoModelForPreTraining": "modeling_secateur.SecateurBertForPreTraining"}
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    predictions = json.loads((folder / "predictions.json").read_text())
    assert len({each["document"] for each in predictions}) == 4


def test_finetune_leaves_the_reference(text: tuple[str, ...], output: Path, gain: tuple[Record, Path]) -> None:
    record, folder = run("method=finetune", *text, output=output)
    assert record.reference is not None
    assert record.compressed is not None
    assert gain[0].reference is not None
    assert record.compressed.scores == record.reference.scores == gain[0].reference.scores
    assert type(load(folder / "model")).__name__ == "BertForPreTraining"


def test_training_learns_what_holds_for_other_documents(text: tuple[str, ...], tmp_path: Path) -> None:
    """Six of nine words are told by those around them, also in documents that were never seen."""
    _write(tmp_path / "wiki.txt", documents=240)
    own = (f"dataset.data_dir={tmp_path}", "model.epochs=14", "model.learning_rate=5e-3")
    dropout = [f"model.architecture.{name}=0.0" for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")]
    record, _ = run("method=finetune", *text, *own, *dropout, output=tmp_path)
    assert record.compressed is not None
    assert record.compressed.scores["mlm_accuracy"] > 40


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "distilbert"])
def test_gates_are_trained_without_pairs(architecture: str, text: tuple[str, ...], output: Path) -> None:
    alone = ("dataset.task.next_sentence=false", "dataset.task.masking=whole_word", "model.epochs=1")
    chosen = f"model.architecture.model_type={architecture}"
    record, folder = run("method=l0", "sparsity=0.5", chosen, *text, *alone, output=output)
    assert record.compressed is not None
    assert list(record.compressed.scores) == SCORES[:3]
    assert record.compressed.structure.units_removed >= 0.5
    assert type(load(folder / "model")).__name__.endswith("ForMaskedLM")


def test_a_killed_run_goes_on_to_the_bit(
    text: tuple[str, ...], gain: tuple[Record, Path], output: Path, tmp_path: Path
) -> None:
    """What is hidden follows from the epoch and the item: the second epoch, begun again, hides the same."""
    overrides = ("method=gain", "sparsity=0.5", EVERY_STEP, *text)
    for kill in (kill_at(4, when="batch"), kill_at(1, when="batch")):
        with pytest.raises(Killed):
            run(*overrides, kill, output=tmp_path)
    assert_same(gain, run(*overrides, output=tmp_path))


# --- Other heads ---


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for single texts with a label."""
    folder = tmp_path_factory.mktemp("labelled")
    for split, count in {"train": 60, "test": 12}.items():
        lines = [f"door {n} is {COLOURS[n % 3]},{COLOURS[n % 3]}" for n in range(count)]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    files = [f"dataset.{split}_files={folder / split}.csv" for split in ("train", "test")]
    return ["dataset=custom_classification", *files, "dataset.max_seq_length=24", "model.epochs=1"]


@pytest.mark.parametrize("method", [("method=finetune",), ("method=l0", "sparsity=0.7")], ids=["finetune", "l0"])
def test_the_body_goes_under_another_head(
    method: tuple[str, ...], gain: tuple[Record, Path], labelled: list[str], output: Path
) -> None:
    """The reference is the dense language model, fine-tuned there."""
    body = (f"model.checkpoint={gain[1] / 'model'}", "predecessor.learning_rate=1e-9")
    record, folder = run(*method, *labelled, *body, output=output)
    assert record.status == "finished"
    assert record.reference is not None
    assert record.compressed is not None
    assert gain[0].compressed is not None
    assert record.compressed.structure.removed >= gain[0].compressed.structure.removed
    assert record.reference.structure.removed == 0
    model = load(folder / "model")
    assert type(model).__name__ == "SecateurBertForSequenceClassification"
    if method == ("method=finetune",):
        torch.testing.assert_close(
            model.bert.pooler.dense.weight, load(gain[1] / "model").bert.pooler.dense.weight, atol=1e-5, rtol=0
        )
        inputs = [each for each in labelled if each.startswith("dataset")]
        assert record.compressed.scores == _evaluated(
            f"checkpoint={folder / 'model'}", *inputs, output=output / "alone"
        )
        assert (folder / "predictions.json").is_file()
        dense, ours = stage_rows([gain[0], record])
        assert (ours.method, ours.sparsity, ours.text) == ("gain", 0.5, "custom_text")
        assert ours.text_scores["nsp_accuracy"].mean == gain[0].compressed.scores["nsp_accuracy"]
        assert ours.tasks[record.dataset].score.mean == record.compressed.scores[record.metric]
        assert dense.tasks[record.dataset].score.mean == record.reference.scores[record.metric]


@pytest.mark.parametrize("method", ["rpp", "nip", "magnitude"])
def test_zeros_that_were_found_on_text_stay_where_they_are_on_the_next_task(
    method: str, text: tuple[str, ...], labelled: list[str], output: Path
) -> None:
    """The pretrained model is pruned once, its pattern fixed for every task after it (Guo et al., section 3)."""
    first, pretrained = run(f"method={method}", "sparsity=0.5", *text, "model.epochs=1", output=output)
    assert first.compressed is not None
    assert list(first.compressed.scores) == SCORES
    assert first.compressed.structure.zeroed == pytest.approx(0.5, abs=1e-3)
    _, tuned = run("method=finetune", f"model.checkpoint={pretrained / 'model'}", *labelled, output=output)
    before, after = load(pretrained / "model").base_model, load(tuned / "model").base_model
    for name, weight in before.encoder.layer.named_parameters():
        if weight.dim() == 2:
            kept = after.encoder.layer.get_parameter(name)
            assert kept[weight == 0].eq(0).all()
            assert not kept.equal(weight)


def test_layers_drop_out_on_text_too(text: tuple[str, ...], output: Path) -> None:
    record, folder = run("method=layerdrop", "sparsity=null", "method.layers=1", *text, "model.epochs=1", output=output)
    assert record.compressed is not None
    assert list(record.compressed.scores) == SCORES
    assert type(load(folder / "model")).__name__ == "BertForPreTraining"
    assert len(load(folder / "model").bert.encoder.layer) == 1


def test_a_language_model_goes_on_with_its_own_heads(
    gain: tuple[Record, Path], text: tuple[str, ...], output: Path
) -> None:
    """A learning rate too small to matter leaves them as they were, where other tasks draw a head anew."""
    given = f"model.checkpoint={gain[1] / 'model'}"
    _, folder = run("method=finetune", *text, given, "predecessor.learning_rate=1e-9", output=output)
    before, after = load(gain[1] / "model"), load(folder / "model")
    for name, weight in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], weight, atol=1e-5, rtol=0)


def test_evaluate_gives_the_scores_of_the_record(
    gain: tuple[Record, Path], text: tuple[str, ...], tmp_path: Path
) -> None:
    """On the same hidden tokens."""
    record, folder = gain
    scores = _evaluated(f"checkpoint={folder / 'model'}", *text[:3], output=tmp_path)
    assert record.compressed is not None
    assert scores == record.compressed.scores


def test_evaluate_refuses_a_model_without_the_heads(
    gain: tuple[Record, Path], text: tuple[str, ...], tmp_path: Path
) -> None:
    alone = "dataset.task.next_sentence=false"
    with pytest.raises(SecateurError, match=r"SecateurBertForPreTraining does not fit .*; set it to true, or give"):
        _evaluated(f"checkpoint={gain[1] / 'model'}", *text[:3], alone, output=tmp_path)


def _evaluated(*overrides: str, output: Path) -> dict[str, float]:
    overrides = (*overrides, "trainer=cpu", "~callbacks.progress", f"paths.output={output}", f"output={output}")
    with initialize_config_dir(config_path(), version_base="1.3"):
        composed = compose("evaluate", [*overrides])
    return evaluate_checkpoint(typed(composed, EvaluateConfig))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distillation=logits", r"^distillation=logits: masked language modelling [^\n]*, or none$"),
        ("model.architecture.model_type=roberta", r"^dataset\.task\.next_sentence=true: model_type=roberta has no "),
        ("dataset.task.mask_probability=0", r"^dataset\.task\.mask_probability=0: must lie in \(0, 1\)$"),
        ("dataset.test_share=1.0", r"^dataset\.test_share=1\.0: must lie in \(0, 1\), or be null$"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    override: str, message: str, text: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(SecateurError, match=message):
        run("method=gain", "sparsity=0.5", *text, override, output=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_documents_are_what_limits_count(folder: Path, text: tuple[str, ...], output: Path) -> None:
    limits = ("dataset.limit_train=20", "dataset.limit_test=3", "model.epochs=1")
    run("method=finetune", *text, *limits, output=output)
    (tokens,) = [
        path for path in (output / "store" / "tokens").glob("custom_text-*/rows") if _documents(path / "test") == 3
    ]
    assert (_documents(tokens / "train"), _documents(tokens / "val")) == (18, 2)


def _documents(folder: Path) -> int:
    from datasets import load_from_disk

    return len(load_from_disk(folder))
