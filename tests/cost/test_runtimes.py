"""A pass in ONNX Runtime gets the same inputs and threads as a pass in PyTorch, and is timed separately."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from secateur.cost import measure_latency
from secateur.cost.inputs import random_inputs
from secateur.cost.runtimes import feeds_of, onnx_runner, open_session, pytorch_runner
from secateur.errors import SecateurError


@pytest.fixture
def adder(tmp_path: Path) -> Path:
    """ids + types, with the inputs of a BERT."""
    names = ("input_ids", "token_type_ids")
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "length"]) for name in names]
    outputs = [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.INT64, ["batch", "length"])]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", names, ["sum"])], "adder", inputs, outputs)
    opsets = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_inputs_are_equal_in_both_runtimes_and_token_types_zero(dense, adder):
    inputs = random_inputs(dense, length=7, batch_size=2)
    feeds = feeds_of(open_session(adder), inputs)
    assert feeds.keys() == {"input_ids", "token_type_ids"}
    assert np.array_equal(feeds["input_ids"], inputs["input_ids"].numpy())
    assert not feeds["token_type_ids"].any()
    (output,) = onnx_runner(adder, dense)(2, 7)()
    assert np.array_equal(output, inputs["input_ids"].numpy())


def test_a_pass_runs_the_model_as_it_is(dense):
    calls = []
    dense.eval().register_forward_hook(lambda module, _, outputs: calls.append((module.training, outputs)))
    run = pytorch_runner(dense)(2, 7)
    assert not calls
    run()
    ((training, outputs),) = calls
    assert not training
    assert outputs.start_logits.shape == (2, 7)


def test_a_session_has_pytorchs_threads_and_they_do_not_spin(adder):
    options = open_session(adder).get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_missing_file_is_told_with_the_remedy(tmp_path):
    with pytest.raises(SecateurError, match=r"model\.onnx: no such file; secateur-export RUN"):
        open_session(tmp_path / "model.onnx")


def test_both_runtimes_are_timed_onnx_in_float32(dense, shrink, adder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # not to wait for a measurement on the machine
    small = shrink(heads=[1], units=[4])
    options = {"batch_sizes": [1, 2], "lengths": [8], "dtypes": ["bfloat16"], "seconds": 0}
    pairs = measure_latency(dense, small, onnx=(adder, adder), **options).pairs
    settings = [(pair.runtime, pair.dtype, pair.batch_size) for pair in pairs]
    assert settings == [
        ("pytorch", "bfloat16", 1),
        ("pytorch", "bfloat16", 2),
        ("onnxruntime", "float32", 1),
        ("onnxruntime", "float32", 2),
    ]
    assert all(pair.repeats == 5 and pair.speedup > 0 for pair in pairs)
