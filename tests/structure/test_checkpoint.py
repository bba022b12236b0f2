"""Model folders load completely, here and in a process without secateur, and never from a pickle."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

from secateur.errors import SecateurError
from secateur.structure.checkpoint import load, load_tokenizer, save_model
from secateur.structure.shape import structure_sizes
from secateur.structure.surgery import remove_heads, remove_units
from tests.architectures import ARCHITECTURES

# Name -> task, heads and units left in each layer, and whether plain transformers can build that shape; then the
# architecture, where it is not BERT.
SHAPES = {
    "uneven": ("QuestionAnswering", [3, 1, 4], [5, 24, 8], False),
    "even-but-fewer-heads": ("QuestionAnswering", [2, 2, 2], [24, 24, 24], False),
    "no-heads": ("QuestionAnswering", [4, 0, 4], [24, 24, 24], False),
    "no-units": ("QuestionAnswering", [4, 4, 4], [24, 24, 0], False),
    "no-heads-nor-units": ("QuestionAnswering", [0, 4, 2], [0, 3, 24], False),
    "classification": ("SequenceClassification", [0, 1, 2], [7, 0, 9], False),
    "multiple-choice": ("MultipleChoice", [0, 1, 2], [7, 0, 9], False),
    "masked-lm": ("MaskedLM", [0, 1, 2], [7, 0, 9], False),
    "stock": ("QuestionAnswering", [4, 4, 4], [24, 24, 24], True),
    "stock-but-narrower": ("QuestionAnswering", [4, 4, 4], [8, 8, 8], True),
    **{
        f"{model_type}-{task}{'-narrower' * is_stock}": (task, heads, units, is_stock, model_type)
        for model_type in ARCHITECTURES
        for task, heads, units, is_stock in (
            ("QuestionAnswering", [0, 4, 2], [0, 3, 24], False),
            ("SequenceClassification", [0, 1, 2], [7, 0, 9], False),
            ("MultipleChoice", [0, 1, 2], [7, 0, 9], False),
            ("MaskedLM", [0, 1, 2], [7, 0, 9], False),
            ("QuestionAnswering", [4, 4, 4], [8, 8, 8], True),
        )
        if model_type != "bert"
    },
}

# What a stranger does: load each folder, answer, save it again, load that, and load in bfloat16.
FOREIGN_PROCESS = """
import json, sys
sys.modules["secateur"] = None
try:
    import secateur
    sys.exit("secateur must not be importable here")
except ImportError:
    pass
import torch, transformers
from safetensors.torch import load_file, save_file

root, jobs = sys.argv[1], json.loads(sys.argv[2])
for name, (auto_class, trust) in jobs.items():
    options = {"trust_remote_code": True} if trust else {}
    build = getattr(transformers, auto_class).from_pretrained
    batch = load_file(f"{root}/{name}.batch.safetensors")
    with torch.no_grad():
        model = build(f"{root}/{name}", **options)
        first = model(**batch)[0]
        model.save_pretrained(f"{root}/{name}.again")
        again = build(f"{root}/{name}.again", **options)(**batch)[0]
        half = build(f"{root}/{name}", dtype=torch.bfloat16, **options)
        assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
        results = {"first": first, "again": again, "bfloat16": half(**batch)[0].float()}
    results = {key: value.contiguous() for key, value in results.items()}
    save_file(results, f"{root}/{name}.logits.safetensors")
"""


def _set(folder: Path, **entries) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def _in_parts(folder: Path, index: str) -> None:
    (folder / "model.safetensors").rename(folder / "1.safetensors")
    (folder / "1.bin").touch()
    (folder / "model.safetensors.index.json").write_text(index)


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tokenizer, make_model, batch):
    """All shapes saved, and loaded by one foreign process; gives the folder, our logits and its stderr."""
    root, expected, jobs = tmp_path_factory.mktemp("exported"), {}, {}
    for name, (task, heads, units, is_stock, *model_type) in SHAPES.items():
        model = _cut(make_model(task, model_type=model_type[0] if model_type else "bert"), heads, units)
        inputs = {key: value.unsqueeze(1) if task == "MultipleChoice" else value for key, value in batch.items()}
        save_file({key: value.contiguous() for key, value in inputs.items()}, root / f"{name}.batch.safetensors")
        save_model(model, tokenizer, root / name)
        with torch.no_grad():
            expected[name] = model(**inputs)[0]
        jobs[name] = (f"AutoModelFor{task}", not is_stock)
    process = _run_foreign(root, jobs)
    assert process.returncode == 0, process.stderr
    return root, expected, process.stderr


@pytest.mark.parametrize("name", SHAPES)
def test_every_way_in_gives_the_same_logits(exported, name):
    """secateur.load, from_pretrained without secateur, and both after saving again through remote code."""
    root, expected, _ = exported
    batch, foreign = (load_file(root / f"{name}.{kind}.safetensors") for kind in ("batch", "logits"))
    with torch.no_grad():
        ours = load(root / name)(**batch)[0]
        saved_again = load(root / f"{name}.again")(**batch)[0]
    for logits in (ours, saved_again, foreign["first"], foreign["again"]):
        assert torch.allclose(logits, expected[name], atol=1e-6, rtol=0)
    assert torch.allclose(foreign["bfloat16"], expected[name], atol=0.25)


def test_loading_elsewhere_raises_no_warnings(exported):
    """Neither new weights nor empty matrices are remarked upon: nothing was initialised."""
    stderr = exported[2]
    assert "LOAD REPORT" not in stderr
    assert "Warning" not in stderr


@pytest.mark.parametrize("name", SHAPES)
def test_the_modelling_file_comes_along_only_where_it_is_needed(exported, name):
    _, heads, units, is_stock, *_ = SHAPES[name]
    for folder in (exported[0] / name, exported[0] / f"{name}.again"):
        config = json.loads((folder / "config.json").read_text())
        width = config["hidden_dim" if config["model_type"] == "distilbert" else "intermediate_size"]
        assert (folder / "modeling_secateur.py").exists() != is_stock
        assert ("auto_map" in config) != is_stock
        assert config["dtype"] == "float32"
        if is_stock:
            assert "secateur" not in config
            assert width == units[0]
        else:
            assert (config["secateur"]["heads"], config["secateur"]["units"]) == (heads, units)
            assert width == 24


def test_uneven_shapes_are_refused_by_plain_transformers_without_the_flag(exported):
    """No silent re-initialisation: the sizes do not match and transformers says so."""
    with pytest.raises(RuntimeError):
        transformers.BertForQuestionAnswering.from_pretrained(exported[0] / "uneven")


def test_a_loaded_model_keeps_its_file_when_saved_by_itself_or_cut_further(exported, tmp_path, tokenizer):
    model = load(exported[0] / "uneven")
    model.save_pretrained(tmp_path / "by-itself")
    assert structure_sizes(load(tmp_path / "by-itself")) == ([3, 1, 4], [5, 24, 8])
    assert (tmp_path / "by-itself" / "modeling_secateur.py").exists()
    save_model(_cut(model, [1, 0, 2], [5, 2, 1]), tokenizer, tmp_path / "further")
    assert structure_sizes(load(tmp_path / "further")) == ([1, 0, 2], [5, 2, 1])


def test_a_shape_that_becomes_stock_again_leaves_no_trace(tmp_path, tokenizer, make_model, batch):
    save_model(_cut(make_model(), [4, 4, 4], [9, 8, 7]), tokenizer, tmp_path / "uneven")
    model = _cut(load(tmp_path / "uneven"), [4, 4, 4], [7, 7, 7])
    save_model(model, tokenizer, tmp_path / "even")
    assert not (tmp_path / "even" / "modeling_secateur.py").exists()
    plain = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "even")
    assert type(plain) is transformers.BertForQuestionAnswering
    assert torch.allclose(plain(**batch).start_logits, model(**batch).start_logits, atol=1e-6)


def test_fewer_layers_are_saved_as_such(tmp_path, tokenizer, make_model):
    """Methods that take layers out need not tell the config."""
    model = _cut(make_model(), [4, 2, 1], [24, 5, 6])
    del model.bert.encoder.layer[1]
    save_model(model, tokenizer, tmp_path / "model")
    assert structure_sizes(load(tmp_path / "model")) == ([4, 1], [24, 6])


def test_another_task_gets_the_shrunk_encoder_under_a_fresh_head(exported):
    model = load(exported[0] / "uneven", auto_class=AutoModelForSequenceClassification, num_labels=5)
    assert structure_sizes(model) == ([3, 1, 4], [5, 24, 8])
    assert model.classifier.weight.shape == (5, 32)


def test_weights_are_float32_whatever_the_file_or_the_model_holds(tmp_path, tokenizer, make_model):
    model = _cut(make_model("MaskedLM"), [1, 2, 3], [4, 5, 6]).bfloat16()
    save_model(model, tokenizer, tmp_path / "model")
    assert {tensor.dtype for tensor in load_file(tmp_path / "model" / "model.safetensors").values()} == {torch.float32}
    assert model.dtype == torch.bfloat16, "saving leaves the model as it is"
    make_model().bfloat16().save_pretrained(tmp_path / "half")
    assert {parameter.dtype for parameter in load(tmp_path / "half").parameters()} == {torch.float32}


def test_code_in_the_folder_is_never_run(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported[0] / "uneven", folder)
    (folder / "modeling_secateur.py").write_text("raise SystemExit('the folder was executed')")
    assert structure_sizes(load(folder)) == ([3, 1, 4], [5, 24, 8])
    assert load_tokenizer(folder)("who is").input_ids == [2, 5, 6, 3]


def test_a_folder_is_replaced_whole_and_leftovers_are_swept(tmp_path, tokenizer, make_model, monkeypatch):
    folder = tmp_path / "model"
    save_model(_cut(make_model(), [1, 2, 3], [4, 5, 6]), tokenizer, folder)
    (tmp_path / "model.partial").mkdir()
    (tmp_path / "model.partial" / "half-written").touch()

    def fail(*_args, **_options):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer, "save_pretrained", fail)
        with pytest.raises(OSError, match="disk full"):
            save_model(make_model(), tokenizer, folder)
    assert structure_sizes(load(folder)) == ([1, 2, 3], [4, 5, 6]), "the failed write has touched nothing"
    save_model(make_model(), tokenizer, folder)
    assert structure_sizes(load(folder)) == ([4, 4, 4], [24, 24, 24])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (folder / "modeling_secateur.py").exists()
    assert not (folder / "half-written").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "no such folder"),
        (lambda folder: (folder / "config.json").unlink(), r"no config.json; found .*model.safetensors"),
        (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "contains a list"),
        (_pickle, r"pickles are never read; found .*pytorch_model.bin"),
        (lambda folder: _set(folder, transformers_weights="adapter_model.bin"), "adapter_model.bin"),
        (lambda folder: _set(folder, architectures=None), r"architectures=None .*does not name a model class"),
        (lambda folder: _set(folder, architectures=["Trainer"]), r"architectures=\['Trainer'\]"),
        (lambda folder: _set(folder, architectures=["GPT2LMHeadModel"]), r"model_type='bert'"),
        (lambda folder: _set(folder, vocab_size=41), "do not have the shapes"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"cut off"), "damaged"),
        (
            lambda folder: _set(folder, hidden_size="big"),
            r"config.json: does not describe a valid .*'hidden_size' expected int",
        ),
        (lambda folder: _set(folder, hidden_act="curl"), r"config.json: does not describe a valid .*KeyError: 'curl'"),
        (lambda folder: _set(folder, secateur={"heads": [], "units": []}), r"config.json: secateur.head_size=None"),
        (lambda folder: _set(folder, secateur=[]), r"config.json: secateur.heads=None: should be of type list"),
        (lambda folder: _in_parts(folder, "{"), r"index.json: not JSON, or truncated"),
        (lambda folder: _in_parts(folder, "{}"), r"index.json: has no weight_map"),
        (lambda folder: _in_parts(folder, '{"weight_map": {"a": "2.safetensors"}}'), r"json: names 2.safetensors"),
        (
            lambda folder: _in_parts(folder, '{"weight_map": {"a": "1.bin"}}'),
            r"index.json: names 1.bin, which is missing",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_name(exported, tmp_path, change, message):
    folder = tmp_path / "model"
    shutil.copytree(exported[0] / "uneven", folder)
    change(folder)
    with pytest.raises(SecateurError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_tokenizer_is_refused(exported):
    """transformers would make one that knows nothing but special tokens."""
    with pytest.raises(SecateurError, match="contains no tokenizer"):
        load_tokenizer(exported[0] / "uneven.again")


def _cut(model, heads, units):
    remove_heads(model, [torch.arange(count) for count in heads])
    remove_units(model, [torch.arange(count) for count in units])
    return model


def _run_foreign(root: Path, jobs: dict) -> subprocess.CompletedProcess:
    settings = {
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": str(root / "modules"),
        "HF_HOME": str(root / "home"),
    }
    return subprocess.run(
        [sys.executable, "-I", "-c", FOREIGN_PROCESS, str(root), json.dumps(jobs)],
        env={**os.environ, **settings},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", '{"version": ', r"/tokenizer\.json: not JSON, or truncated"),
        ("tokenizer_config.json", "[]", r"/tokenizer_config\.json: contains a list"),
        ("tokenizer.json", "{}", r": its tokenizer is damaged \(KeyError: "),
        ("tokenizer.json", '{"added_tokens": [], "model": {}}', r": its tokenizer is damaged \("),
    ],
)
def test_a_damaged_tokenizer_is_refused_by_name(exported, tmp_path, name, content, message):
    folder = tmp_path / "model"
    shutil.copytree(exported[0] / "uneven", folder)
    (folder / name).write_text(content)
    with pytest.raises(SecateurError, match=rf"^{folder}{message}[^\n]*; write (the folder|it) again$"):
        load_tokenizer(folder)
