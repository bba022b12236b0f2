"""CONTRIBUTING's three recipes, each followed to the letter outside the package: method, architecture, data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from secateur.commands.compress import compress
from secateur.commands.launch import config_path
from secateur.configuration import naming
from secateur.configuration.checks import checked
from secateur.record import Record
from secateur.structure.anatomy import ANATOMIES
from tests.small_runs import run, small

METHOD = '''
import dataclasses
import torch
from secateur.methods.base import Context, State, Step
from secateur.structure.gates import PerGate
from secateur.structure.shape import structure_sizes


class LastHeads(Step):
    """Keeps the first ``keep`` heads of every layer, and all units."""

    changes_model = False
    gives = ("gates",)

    def __init__(self, *, keep: int, evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        self.keep = keep

    def run(self, state: State, context: Context) -> State:
        heads, units = structure_sizes(state.model)
        gates = PerGate(
            heads=tuple((torch.arange(count) < self.keep).float() for count in heads),
            units=tuple(torch.ones(count) for count in units),
        )
        return dataclasses.replace(state, gates=gates)
'''
METHOD_YAML = """
defaults: [_recover@steps.recover, _self_]
name: last_heads
order: [close, surgery, recover]
keep: 1
steps:
  close: {_target_: last_heads.LastHeads, keep: "${method.keep}"}
  surgery: {_target_: secateur.methods.surgery.Surgery}
"""
DATASET_YAML = """
defaults: [_question_answering, _self_]
name: doors
train_files: [FOLDER/train.csv]
test_files: [FOLDER/test.csv]
columns: {question: query, context: passage, answer: reply}
max_seq_length: 48
max_question_length: 16
doc_stride: 8
"""


def run_with_own_conf(folder: Path, *overrides: str) -> tuple[Record, Path]:
    searchpath = f"hydra.searchpath=[file://{folder / 'conf'}]"
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("compress", [searchpath, *small(*overrides), f"paths.output={folder / 'out'}"])
    run_folder = Path(config.paths.runs) / naming.run_name(_root_=config)
    return compress(checked(config), run_folder, asked=naming.resolved(config)), run_folder


def test_a_method_is_one_module_and_one_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "last_heads.yaml").write_text(METHOD_YAML)
    (tmp_path / "last_heads.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    record, _ = run_with_own_conf(tmp_path, "method=last_heads", "sparsity=null", "model.epochs=1")
    assert record.compressed is not None
    assert record.compressed.structure.heads == [1, 1, 1]
    assert record.compressed.structure.units_removed == 0


def test_an_architecture_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MegatronBERT keeps its layers where BERT does, but normalises at other places within them."""
    assert "megatron-bert" not in ANATOMIES
    monkeypatch.setitem(ANATOMIES, "megatron-bert", ANATOMIES["bert"])
    megatron = "model.architecture.model_type=megatron-bert"
    record, _ = run("method=gain", "sparsity=0.5", megatron, "model.epochs=1", output=tmp_path)
    assert record.compressed is not None
    assert record.compressed.structure.heads_removed == 0.5


def test_a_data_set_is_one_yaml(tmp_path: Path) -> None:
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "doors.yaml").write_text(DATASET_YAML.replace("FOLDER", str(tmp_path)))
    colours = ["red", "blue", "green", "grey"]
    for split, count in {"train": 60, "test": 8}.items():
        rows = [f"what colour is door {n}?,door {n} is {colours[n % 4]}.,{colours[n % 4]}" for n in range(count)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["query,passage,reply", *rows]))
    overrides = ("dataset=doors", "method=finetune", "model.epochs=1", "model.vocabulary_size=120")
    record, _ = run_with_own_conf(tmp_path, *overrides)
    assert record.dataset == "doors"
    assert record.status == "finished"
