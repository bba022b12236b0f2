"""DeFormer decomposes the requested layers, starting from and imitating the dense model of its layout."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from secateur.configuration.checks import checked
from secateur.distillation import LogitsDistillation, RepresentationDistillation
from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.deformer import Decomposition, LowerLayers, Segment, Separation
from secateur.methods.gain import batch_gain
from secateur.runs.building import check_buildable
from secateur.structure.decomposition import decompose, layout_of, lower_layers_of
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from tests.methods.test_finetune import SETTINGS
from tests.small_runs import composed


@pytest.fixture
def twin(make_model, workshop):
    return lambda: decompose(make_model(seed=3), lower_layers=0, question_slot=workshop.question_slot)


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def in_slots(context):
    return dataclasses.replace(context, data=context.data.laid_out("segmented"))


def decomposition(**settings):
    return Decomposition(**{**SETTINGS, "amount": LowerLayers(lower_layers=2), "init": "segmented", **settings})


def test_segment_leaves_the_twin(make_model, make_context, twin):
    state = Segment().run(State(model=make_model()), make_context(segmented=twin))
    assert layout_of(state.model.config) == "segmented"
    assert torch.equal(weights(state.model), weights(twin()))


def test_it_trains_with_its_layers_apart_and_leaves_them_so(make_context, twin):
    state = decomposition().run(State(model=twin()), in_slots(make_context()))
    assert lower_layers_of(state.model.config) == 2
    assert state.details == {"lower_layers": 2}
    assert not state.model.training
    assert not torch.equal(weights(state.model), weights(twin()))


def test_it_can_begin_as_the_pretrained_model(make_model, make_context, twin):
    """Which reads packed inputs until it is decomposed."""
    step = decomposition(init="pretrained", learning_rate=1e-12)
    assert step.needs_pretrained
    context = in_slots(make_context(pretrained=lambda: make_model(seed=5)))
    state = step.run(State(model=twin()), context)
    torch.testing.assert_close(weights(state.model), weights(make_model(seed=5)), atol=1e-6, rtol=0)
    assert lower_layers_of(state.model.config) == 2


@pytest.mark.parametrize("distillation", ["logits", "representation"])
def test_the_teacher_is_the_dense_segmented_model(make_context, twin, distillation):
    """Asking for the start, whose tokens stand elsewhere, would raise."""
    asked = []

    def teacher():
        asked.append("model")
        return twin()

    class Outputs:
        def read(self, items, *, like):
            asked.append("outputs")
            return like

    loss = {
        "logits": LogitsDistillation(temperature=2.0, alpha=0.5),
        "representation": RepresentationDistillation(temperature=2.0, gamma=0.5, alpha=0.2, beta=0.3),
    }[distillation]
    context = in_slots(make_context(segmented=teacher, segmented_outputs=Outputs))
    decomposition(distillation=loss, epochs=0.2).run(State(model=twin()), context)
    assert set(asked) == {"outputs" if distillation == "logits" else "model"}


@pytest.mark.parametrize(
    ("sparsity", "count", "expected"), [(0.0, 12, 0), (0.5, 12, 6), (0.75, 12, 9), (0.66, 3, 2), (0.9, 12, 11)]
)
def test_sparsity_is_the_smallest_whole_number_of_layers_not_below(sparsity, count, expected):
    assert LowerLayers(sparsity=sparsity).of(count) == expected


def test_a_request_between_two_layers_is_warned_about(caplog):
    LowerLayers(sparsity=0.5).check(3)
    LowerLayers(sparsity=0.66).check(3)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == "sparsity=0.5: only complete layers are decomposed, so it is 2 of 3 layers, which is 0.67"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sparsity=null", "method.lower_layers=4"), r"method\.lower_layers=4: the model has 3 layers; give 0 to 3"),
        (("sparsity=null", "method.lower_layers=-1"), r"method\.lower_layers=-1: must be 0 or more"),
        (
            ("sparsity=0.5", "method.lower_layers=1"),
            r"method\.lower_layers=1: cannot be combined with sparsity=0\.5; set sparsity=null",
        ),
        (("sparsity=null",), r"sparsity=null: number of lower layers not given; set sparsity or method.lower_layers"),
        (("method.init=random",), r"method\.init=random: must be one of segmented, pretrained"),
        (("dataset.max_question_length=null",), r"dataset.max_question_length=null: [^\n]+, such as 32"),
        (("dataset=toy_pairs",), r"dataset.max_question_length=null: [^\n]+, such as 32"),
        (
            ("dataset=custom_text", "dataset.train_files=FILE", "dataset.test_files=FILE"),
            r"dataset=custom_text: has no.*",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_loads(overrides, message, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("One.\n\nTwo.\n")
    given = [each.replace("FILE", str(file)) for each in overrides]
    with pytest.raises(SecateurError, match=f"^{message}$"):
        check_buildable(checked(composed("method=deformer", *given, output=tmp_path)))


@pytest.mark.parametrize(
    "method", ["gain", "l0", "theseus", "layerdrop", "truncate", "heads", "rpp", "nip", "magnitude"]
)
def test_methods_that_reach_into_layers_refuse_xlnet_by_name(method, tmp_path):
    """And say what they take."""
    overrides = (f"method={method}", "model=tiny_xlnet")
    message = rf"^method={method}: does not support model_type=xlnet; use one of bert, camembert, [^\n]+, xlm-roberta$"
    with pytest.raises(SecateurError, match=message):
        check_buildable(checked(composed(*overrides, output=tmp_path)))


def test_xlnet_is_not_exported(tmp_path):
    message = r"^export=onnx: does not support model_type=xlnet; use one of bert, [^\n]+$"
    with pytest.raises(SecateurError, match=message):
        check_buildable(checked(composed("method=control", "export=onnx", "model=tiny_xlnet", output=tmp_path)))


@pytest.mark.parametrize("method", ["deformer", "finetune", "control"])
def test_xlnet_is_taken_by_what_leaves_layers_as_they_are(method, tmp_path):
    amount = "sparsity=0.5" if method == "deformer" else "sparsity=null"
    assert (
        check_buildable(checked(composed(f"method={method}", amount, "model=tiny_xlnet", output=tmp_path))) is not None
    )


def test_a_packed_model_is_not_decomposed(make_model, make_context):
    with pytest.raises(SecateurError, match=r"^a BertForQuestionAnswering reads question and document packed, [^\n]+$"):
        decomposition().run(State(model=make_model()), make_context())


def test_a_gates_gain_counts_both_segments(make_context, twin, workshop):
    """The product that is observed of each is the gate's own derivative when they are added up."""
    model = decompose(twin(), lower_layers=2, question_slot=workshop.question_slot)
    batch = in_slots(make_context()).data.examples["train"].collate([5])
    gates = ones_like_gates(model)
    with gated(model, gates):
        workshop.task.forward(model, batch)["loss"].backward()
    gain = batch_gain(model, workshop.task, batch)
    for found, gate in zip((*gain.heads, *gain.units), (*gates.heads, *gates.units), strict=True):
        torch.testing.assert_close(found, gate.grad.abs(), atol=1e-5, rtol=1e-4)


def ones_like_gates(model):
    heads, units = structure_sizes(model)
    return PerGate(
        heads=tuple(torch.ones(count, requires_grad=True) for count in heads),
        units=tuple(torch.ones(count, requires_grad=True) for count in units),
    )


def test_taken_apart_alone_no_weight_changes(make_model, make_context, twin):
    """What decomposing costs before anything is trained."""
    step = Separation(amount=LowerLayers(lower_layers=2))
    state = step.run(State(model=twin()), make_context())
    assert lower_layers_of(state.model.config) == 2
    assert torch.equal(weights(state.model), weights(twin()))
    with pytest.raises(SecateurError, match="reads question and document packed"):
        step.run(State(model=make_model()), make_context())
    with pytest.raises(SecateurError, match=r"lower_layers=2: the model has 1 layers"):
        step.check(heads=[2], units=[4])
