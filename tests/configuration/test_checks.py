"""Mistakes in a config are reported in one line with key, value and remedy, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.runs.building import check_buildable
from tests.architectures import random_model
from tests.small_runs import composed

MISTAKES = {
    "layers compared with layers that are gone": (
        ["method=truncate", "distillation=representation"],
        r"^distillation=representation: compares layer by layer, and method=truncate removes layers; ",
    ),
    "a loss that nothing is trained by": (
        ["method=heads", "distillation=patient"],
        r"^distillation=patient: has no effect on method=heads, which does not train with it; set distillation=none$",
    ),
    "modules without their lists": (
        ["method=theseus", "sparsity=0.5", "method.mixes=[0,1]"],
        r"^method\.mixes=\[0, 1\]: must be a list of lists of whole numbers or null$",
    ),
    "a layer without its list": (
        ["method=truncate", "sparsity=null", "method.keep=2"],
        r"^method\.keep=2: must be a list of whole numbers or null$",
    ),
    "a fraction above 1": (["sparsity=1.5"], r"^sparsity=1\.5: must lie in \[0, 1\)"),
    "a negative fraction": (["sparsity=-0.1"], r"^sparsity=-0\.1: must lie in \[0, 1\)"),
    "a negative seed": (["seed=-1"], r"^seed=-1: must lie in \[0, 2\^32\)$"),
    "a predecessor's seed that no generator takes": (
        ["predecessor.seed=4294967296"],
        r"^predecessor\.seed=4294967296: must lie in \[0, 2\^32\)$",
    ),
    "a fraction in quotes": (['sparsity="1.5"'], r"^sparsity=1\.5: must lie in \[0, 1\)"),
    "no examples to evaluate at a time": (
        ["evaluation.batch_size=0"],
        r"^evaluation\.batch_size=0: must be at least 1$",
    ),
    "a predecessor that is not trained": (["predecessor.epochs=0"], r"^predecessor\.epochs=0\.0: must be above 0$"),
    "no order": (["method.order=null"], r"^method\.order=null: must be a list of steps; there are "),
    "a step twice": (
        ["method.order=[score,threshold,surgery,recover,score]"],
        r"^method\.order: score comes twice; give the second step a name of its own$",
    ),
    "a step that is nothing": (["method.steps.recover=null"], r"^method\.steps\.recover=null: is not a step, "),
    "an option that the phases set": (
        ["+trainer.max_steps=1"],
        r"^trainer\.max_steps=1: has no effect; set predecessor\.epochs and method\.steps\.\*\.epochs$",
    ),
    "a clip beside the phases'": (
        ["+trainer.gradient_clip_val=0.5"],
        r"^trainer\.gradient_clip_val=0\.5: has no effect; set predecessor\.max_grad_norm",
    ),
    "nothing to be measured": (["measure.dtypes=[]"], r"^measure\.dtypes=\[\]: give at least one$"),
    "no time to measure": (["measure.seconds=0"], r"^measure\.seconds=0\.0: must be above 0$"),
    "lengths beyond all positions": (
        ["measure.lengths=[1024]"],
        r"^measure\.lengths=\[1024\]: the model has positions for \d+ tokens; give fewer$",
    ),
    "a tag that is no list": (
        ["logger=wandb", "logger.log.tags=mine"],
        r"^logger\.log\.tags=mine: must be a list of strings",
    ),
    "no threads": (["threads=0"], r"^threads=0: must be at least 1"),
    "not a number": (["sparsity=much"], r"^sparsity=much: "),
    "an unknown key at the top": (["+sparsty=0.5"], r"^sparsty: unknown key; did you mean sparsity\?"),
    "an unknown key in a group": (
        ["+dataset.limit_trian=5"],
        r"^dataset\.limit_trian: unknown key; did you mean limit_train",
    ),
    "an unknown key of a step": (
        ["+method.steps.recover.epocks=2"],
        r"^method\.steps\.recover\.epocks: unknown key; did you mean epochs\?",
    ),
    "an unknown key of the task": (
        ["+dataset.task.n_best=3"],
        r"^dataset\.task\.n_best: unknown key; did you mean n_best_size\?",
    ),
    "an unknown key of the trainer": (
        ["+trainer.precison=16"],
        r"^trainer\.precison: unknown key; did you mean precision",
    ),
    "an unknown setting of the method": (["+method.unit=0.5"], r"^method\.unit: unknown key; did you mean units\?"),
    "a step that is not there": (["method.order=[score,cut]"], r"^method\.order: no step is called cut"),
    "an amount without effect": (
        ["method=control", "sparsity=0.3"],
        r"^sparsity=0\.3: has no effect on method=control",
    ),
    "a format that nobody writes": (["export.name=tflite"], r"^export\.name=tflite: must be none or onnx"),
    "no amount": (["sparsity=null"], r"^sparsity=null: amount to remove not given"),
    "two amounts": (["method.heads=0.3"], r"^method\.heads=0\.3: cannot be combined with sparsity="),
    "more heads to stay than there are": (
        ["method.min_heads_per_layer=3"],
        r"^method\.min_heads_per_layer=3: leaves 3 of 12 heads to remove",
    ),
    "a temperature of gates": (
        ["method=l0", "method.steps.gate.distribution.beta=0"],
        r"^method\.steps\.gate\.distribution\.beta=0(\.0)?: must be above 0",
    ),
    "no such schedule": (["method=theseus", "method.schedule=cosine"], r"^method\.schedule=cosine: must be one of"),
    "a rate that is no probability": (["method=theseus", "method.rate=2"], r"^method\.rate=2(\.0)?: must lie in"),
    "a schedule that is never through": (
        ["method=theseus", "method.replacing_ratio=2"],
        r"^method\.replacing_ratio=2(\.0)?: must lie in \(0, 1\]",
    ),
    "more modules than successor layers": (
        ["method=theseus", "method.modules=4"],
        r"^method\.modules=4: must be from 1 to 1, the number of successor layers",
    ),
    "a module that is not there": (
        ["method=theseus", "method.mixes=[[3]]"],
        r"^method\.mixes=\[3\]: the modules are 0 to 0",
    ),
    "a probability beyond 1": (["method=layerdrop", "method.p=1.5"], r"^method\.p=1\.5: must lie in \[0, 1\]"),
    "no layer left": (["method=truncate", "sparsity=0.99"], r"^sparsity=0\.99: leaves none of 3 layers"),
    "more layers than there are": (
        ["method=layerdrop", "sparsity=null", "method.layers=4"],
        r"^method\.layers=4: the model has only 3",
    ),
    "half a layer": (
        ["method=truncate", "sparsity=null", "method.layers=1.5"],
        r"^method\.layers=1\.5: must be a whole number or null$",
    ),
    "no epochs": (["method.steps.recover.epochs=0"], r"^method\.steps\.recover\.epochs=0(\.0)?: must be above 0"),
    "a learning rate of zero": (
        ["method.steps.recover.learning_rate=0"],
        r"^method\.steps\.recover\.learning_rate=0(\.0)?: must be above 0",
    ),
    "a temperature of zero": (
        ["distillation=logits", "distillation.loss.temperature=0"],
        r"^distillation\.loss\.temperature=0(\.0)?: must be above 0",
    ),
    "an architecture without anatomy": (
        ["model.architecture.model_type=gpt2"],
        r"^model\.architecture\.model_type=gpt2: must be one of bert",
    ),
    "an architecture that nobody knows": (
        ["model.architecture.model_type=brt"],
        r"^model\.architecture\.model_type=brt: ",
    ),
    "heads that do not divide the width": (
        ["model.architecture.num_attention_heads=3"],
        r"^model\.architecture\.num_attention_heads=3: must divide hidden_size=32",
    ),
    "inputs longer than the model": (
        ["dataset.max_seq_length=1024"],
        r"^dataset\.max_seq_length=1024: beyond the 512 positions",
    ),
    "a stride that does not move": (["dataset.doc_stride=40"], r"^dataset\.doc_stride=40: must be below"),
    "a limit of zero": (["dataset.limit_train=0"], r"^dataset\.limit_train=0: must be at least 1"),
    "a missing folder": (["dataset=squad_v1", "dataset.data_dir=/nowhere"], r"^dataset\.data_dir=/nowhere: "),
    "a missing file": (
        ["dataset=custom_qa", "dataset.train_files=/no/a.csv", "dataset.test_files=/no/b.csv"],
        r"^dataset\.train_files: there is no file /no/a\.csv",
    ),
    "a checkpoint that is none": (
        ["model=minilm", "model.checkpoint=/nowhere/at/all"],
        r"^model\.checkpoint=/nowhere/at/all: neither",
    ),
    "a predecessor that is none": (
        ["predecessor.checkpoint=/nowhere"],
        r"^predecessor\.checkpoint=/nowhere: not a model folder; ",
    ),
    "a dtype that cannot be measured": (["measure.dtypes=[float8]"], r"^measure\.dtypes=float8: must be"),
}


@pytest.mark.parametrize(("overrides", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(overrides: list[str], line: str, tmp_path: Path) -> None:
    with pytest.raises(SecateurError, match=line) as told:
        check_buildable(checked(composed(*overrides, output=tmp_path)))
    assert "\n" not in str(told.value)


def test_pretrained_weights_of_another_shape_than_the_start_are_refused(tmp_path: Path) -> None:
    """What a pruned start has lost would silently be there again."""
    random_model("bert").save_pretrained(tmp_path / "whole")
    random_model("bert", num_hidden_layers=2).save_pretrained(tmp_path / "start")
    shapes = (f"model.checkpoint={tmp_path / 'whole'}", f"predecessor.checkpoint={tmp_path / 'start'}")
    with pytest.raises(
        SecateurError, match=r"^method\.init=pretrained: model=minilm differs in heads or units from predecessor"
    ):
        overrides = ["model=minilm", "method=deformer", "method.init=pretrained", "sparsity=0.5", *shapes]
        check_buildable(checked(composed(*overrides, output=tmp_path)))


def test_a_folder_without_config_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    overrides = ["model=minilm", f"model.checkpoint={tmp_path / 'empty'}"]
    with pytest.raises(SecateurError, match=r"^model\.checkpoint=.*: contains no config\.json"):
        check_buildable(checked(composed(*overrides, output=tmp_path)))


def test_an_unwritable_output_is_told_with_its_key(tmp_path: Path) -> None:
    """A file in the way, since tests may run as a user who may write anywhere."""
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(SecateurError, match=r"^paths\.runs=.*: cannot be written \(Not a directory\)"):
        checked(composed(output=tmp_path / "out"))


def test_a_setting_that_is_not_there_is_a_mistake_in_a_users_own_yaml_too(tmp_path: Path) -> None:
    own = tmp_path / "conf" / "dataset"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("defaults: [toy_qa, _self_]\nname: mine\nlimit_trains: 3\n")
    searchpath = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    with pytest.raises(SecateurError, match=r"^dataset\.limit_trains: unknown key; did you mean limit_train\?"):
        checked(composed(searchpath, "dataset=mine", output=tmp_path))


def test_malformed_data_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    """Through the whole launcher: nothing is left in the store but its folder."""
    from tests.small_runs import run

    good = {"data": [{"title": str(n), "paragraphs": [paragraph(n)]} for n in range(4)]}
    (tmp_path / "dev.json").write_text(json.dumps(good))
    (tmp_path / "train.json").write_text(json.dumps(good)[:-20])
    overrides = ["dataset=squad_v1", f"dataset.data_dir={tmp_path}"]
    with pytest.raises(SecateurError, match=r"train\.json.*line 1"):
        run(*overrides, output=tmp_path / "out")
    good["data"][1]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = 3
    (tmp_path / "train.json").write_text(json.dumps(good))
    with pytest.raises(SecateurError, match=r"train\.json.*q1"):
        run(*overrides, output=tmp_path / "out")
    (tmp_path / "train.json").write_text(json.dumps({"data": []}))
    with pytest.raises(SecateurError, match=r"train"):
        run(*overrides, output=tmp_path / "out")
    assert not list((tmp_path / "out" / "store").rglob("*.safetensors"))


def paragraph(number: int) -> dict[str, object]:
    answer = {"text": "blue", "answer_start": 14}
    question = {"id": f"q{number}", "question": "What colour is the door?", "answers": [answer]}
    return {"context": f"The door {number} is blue.", "qas": [question]}
