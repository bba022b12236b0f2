"""An exported model computes the same in ONNX Runtime, whatever its shape and its inputs' shape."""

from __future__ import annotations

import copy
import inspect
import logging
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from secateur.cost.inputs import is_multiple_choice
from secateur.cost.runtimes import ANSWERING_FILE, ENCODER_FILE, MODEL_FILE, feeds_of, open_session
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.export import onnx
from secateur.export.graphs import graphs_of
from secateur.export.onnx import TOLERANCE, check_parity, export_onnx, input_names
from secateur.structure.anatomy import max_positions_of
from secateur.structure.auto import auto_class_named
from secateur.structure.decomposition import decompose
from secateur.structure.modeling_secateur import AUTO_CLASSES
from secateur.structure.surgery import remove_heads, remove_units
from tests.architectures import ARCHITECTURES

# Architectures that take no token types, or have one alone, although their heads may offer to hand them on.
UNTYPED = ("distilbert", "roberta")


class Exported(NamedTuple):
    model: PreTrainedModel
    folder: Path
    difference: float


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_wordpiece(["the quick brown fox jumps over the lazy dog"], vocab_size=60)


@pytest.fixture(scope="module")
def uneven(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Layers without heads, without units, without both."""
    model = build("bert", "QuestionAnswering", layers=3)
    remove_heads(model, [torch.arange(0), torch.tensor([0, 2]), torch.arange(0)])
    remove_units(model, [torch.arange(5), torch.arange(0), torch.arange(0)])
    folder = tmp_path_factory.mktemp("uneven") / "onnx"
    return Exported(model, folder, export_onnx(model, tokenizer, folder))


def build(model_type: str, task: str, *, layers: int) -> PreTrainedModel:
    """A small model with dropout, in training mode, its biases away from zero."""
    settings = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4, "initializer_range": 0.2}
    config = AutoConfig.for_model(model_type, vocab_size=64, max_position_embeddings=48, **settings)
    torch.manual_seed(0)
    model = auto_class_named(f"AutoModelFor{task}").from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    return model.train()


def difference(model: PreTrainedModel, folder: Path, *shape: int) -> float:
    """Of ONNX Runtime to PyTorch, on inputs whose last sequence is half padding."""
    ids = torch.randint(5, 64, shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[-1, ..., shape[-1] // 2 + 1 :] = 0
    inputs = {"input_ids": ids.where(mask.bool(), model.config.pad_token_id), "attention_mask": mask}
    if "token_type_ids" in inspect.signature(model.forward).parameters and model.config.model_type not in UNTYPED:
        inputs["token_type_ids"] = (torch.arange(shape[-1]) % 2).expand(shape).contiguous()
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(**inputs)
    session = open_session(folder / MODEL_FILE)
    outputs = session.run(None, feeds_of(session, inputs))
    named: dict[str, Tensor] = {
        node.name: torch.from_numpy(output) for node, output in zip(session.get_outputs(), outputs, strict=True)
    }
    assert named.keys() == expected.keys()
    assert all(named[name].shape == expected[name].shape for name in named)
    return max(float((named[name] - expected[name]).abs().max()) for name in named)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 16), (5, 33), (2, 48)])
def test_agrees_with_pytorch_at_any_batch_and_length_also_with_empty_layers(
    uneven: Exported, shape: tuple[int, int]
) -> None:
    assert difference(uneven.model, uneven.folder, *shape) < 1e-5


def test_says_how_far_it_is_from_pytorch(uneven: Exported) -> None:
    assert 0 < uneven.difference < 1e-5
    assert check_parity(uneven.model, uneven.folder) == uneven.difference


def test_names_inputs_axes_and_outputs_as_the_field_does(uneven: Exported) -> None:
    session = open_session(uneven.folder / MODEL_FILE)
    axes = {node.name: node.shape for node in session.get_inputs()}
    assert axes == {name: ["batch", "length"] for name in ("input_ids", "token_type_ids", "attention_mask")}
    assert [node.name for node in session.get_outputs()] == ["start_logits", "end_logits"]


def test_leaves_one_file_with_configuration_and_tokenizer(uneven: Exported, tokenizer: PreTrainedTokenizerBase) -> None:
    """What Optimum expects; nothing in it points to a modelling file that is not there."""
    assert [path.name for path in uneven.folder.parent.iterdir()] == ["onnx"]
    assert [path.name for path in uneven.folder.glob("*.onnx*")] == [MODEL_FILE]
    config = AutoConfig.from_pretrained(uneven.folder)
    assert config.architectures == ["BertForQuestionAnswering"]
    assert not hasattr(config, "secateur")
    assert AutoTokenizer.from_pretrained(uneven.folder).get_vocab() == tokenizer.get_vocab()


def test_the_model_stays_as_it_was(uneven: Exported) -> None:
    assert uneven.model.config._attn_implementation == "sdpa"
    assert all(module.training for module in uneven.model.modules())
    assert hasattr(uneven.model.config, "secateur")


@pytest.mark.parametrize("change", [1e-3, float("nan")])
def test_another_model_is_refused_and_the_export_before_it_stays(
    uneven: Exported,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: float,
) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(uneven.folder, folder)
    other = copy.deepcopy(uneven.model)
    other.qa_outputs.bias.data += change
    monkeypatch.setattr(
        onnx, "_write_graph", lambda _, graph, __, file: shutil.copyfile(uneven.folder / graph.file, file)
    )
    with pytest.raises(SecateurError, match=rf"model\.onnx: differs from PyTorch by .*, more than {TOLERANCE:g}"):
        export_onnx(other, tokenizer, folder)
    assert check_parity(uneven.model, folder) < TOLERANCE


def test_multiple_choice_takes_any_number_of_choices_and_the_exporter_says_nothing(
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """A model in bfloat16 is exported in float32, as it is saved."""
    model = build("bert", "MultipleChoice", layers=2).bfloat16()
    with caplog.at_level(logging.INFO):
        export_onnx(model, tokenizer, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.messages
    assert not recwarn.list
    session = open_session(tmp_path / MODEL_FILE)
    assert session.get_inputs()[0].shape == ["batch", "choices", "length"]
    assert model.dtype == torch.bfloat16
    assert max(difference(model.float(), tmp_path, *shape) for shape in ((1, 2, 9), (3, 5, 16), (2, 1, 40))) < 1e-5


def apart(model_type: str, *, uneven: bool = False) -> PreTrainedModel:
    """A model of which two layers of three read question and document apart."""
    model = build(model_type, "QuestionAnswering", layers=3)
    if uneven:
        remove_heads(model, [torch.arange(0), torch.tensor([0, 2]), torch.arange(0)])
        remove_units(model, [torch.arange(5), torch.arange(0), torch.arange(0)])
    return decompose(model, lower_layers=2, question_slot=9)


def check_pair(model: PreTrainedModel, folder: Path) -> None:
    """Documents encoded and questions answered by the files are those of the model that reads both in one pass."""
    encoder, answering = (open_session(folder / name) for name in (ENCODER_FILE, ANSWERING_FILE))
    ids = torch.randint(5, 64, (3, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    documents = {"document_ids": ids[:, 7:], "attention_mask": mask[:, 7:]}
    (states,) = encoder.run(None, feeds_of(encoder, documents))
    asked = {"question_ids": ids[:, :7], "attention_mask": mask, "document_states": torch.from_numpy(states)}
    starts, ends = answering.run(None, feeds_of(answering, asked))
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(ids, mask, question_length=7)
    real = mask.bool()
    for found, output in ((starts, expected.start_logits), (ends, expected.end_logits)):
        torch.testing.assert_close(torch.from_numpy(found)[real], output[real], atol=1e-5, rtol=0)


def test_a_decomposed_model_becomes_an_encoder_and_an_answering_model(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    """Its layers differ in width, some have nothing."""
    model = apart("bert", uneven=True)
    assert export_onnx(model, tokenizer, tmp_path / "onnx") < TOLERANCE
    assert sorted(path.name for path in (tmp_path / "onnx").glob("*.onnx*")) == [ANSWERING_FILE, ENCODER_FILE]
    check_pair(model, tmp_path / "onnx")
    other = copy.deepcopy(model)
    other.bert.encoder.layer[0].output.dense.bias.data[0] += 1  # LayerNorm takes off what all have in common
    with pytest.raises(SecateurError, match=r"document_encoder\.onnx: differs from PyTorch by"):
        check_parity(other, tmp_path / "onnx")


def test_a_decomposed_multiple_choice_becomes_a_pair_for_any_number_of_choices(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = decompose(build("bert", "MultipleChoice", layers=3), lower_layers=2, question_slot=9)
    export_onnx(model, tokenizer, tmp_path)
    encoder, answering = (open_session(tmp_path / name) for name in (ENCODER_FILE, ANSWERING_FILE))
    ids = torch.randint(5, 64, (2, 4, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 2, 15:] = 0
    documents = {"document_ids": ids[..., 7:].flatten(0, 1), "attention_mask": mask[..., 7:].flatten(0, 1)}
    (states,) = encoder.run(None, feeds_of(encoder, documents))
    asked = {"question_ids": ids[..., :7], "attention_mask": mask, "document_states": torch.from_numpy(states)}
    (found,) = answering.run(None, feeds_of(answering, asked))
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(ids, mask, question_length=7).logits
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)


def test_a_decomposed_classifier_becomes_a_pair_too(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model = decompose(build("bert", "SequenceClassification", layers=3), lower_layers=2, question_slot=9)
    assert export_onnx(model, tokenizer, tmp_path) < TOLERANCE
    encoder, answering = (open_session(tmp_path / name) for name in (ENCODER_FILE, ANSWERING_FILE))
    ids = torch.randint(5, 64, (3, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    (states,) = encoder.run(None, feeds_of(encoder, {"document_ids": ids[:, 7:], "attention_mask": mask[:, 7:]}))
    asked = {"question_ids": ids[:, :7], "attention_mask": mask, "document_states": torch.from_numpy(states)}
    (found,) = answering.run(None, feeds_of(answering, asked))
    with torch.no_grad():
        expected = copy.deepcopy(model).eval()(ids, mask, question_length=7).logits
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", [name for name in ARCHITECTURES if name != "bert"])
def test_every_architecture_becomes_a_pair(model_type: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model = apart(model_type)
    export_onnx(model, tokenizer, tmp_path / "onnx")
    check_pair(model, tmp_path / "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("auto_class", [name for name in AUTO_CLASSES if name != "AutoModel"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture_and_head(
    model_type: str, auto_class: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = build(model_type, auto_class.removeprefix("AutoModelFor"), layers=3)
    remove_heads(model, [torch.arange(0), torch.tensor([0, 2]), torch.arange(0)])
    remove_units(model, [torch.arange(5), torch.arange(0), torch.arange(0)])
    tokenizer = copy.deepcopy(tokenizer)
    if model_type in UNTYPED:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    export_onnx(model, tokenizer, tmp_path)
    choices = (3,) if is_multiple_choice(model) else ()
    longest = max_positions_of(model.config)
    assert max(difference(model, tmp_path, batch, *choices, longest) for batch in (1, 3)) < 1e-5


def test_inputs_are_those_that_the_tokenizer_gives_and_the_model_takes(tokenizer: PreTrainedTokenizerBase) -> None:
    model = build("bert", "SequenceClassification", layers=1)
    (graph,) = graphs_of(model)
    assert set(input_names(graph, tokenizer)) == {"input_ids", "token_type_ids", "attention_mask"}
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_input_names = ["input_ids", "attention_mask", "unheard_of"]
    assert input_names(graph, tokenizer) == ["input_ids", "attention_mask"]
