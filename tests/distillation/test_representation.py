"""Representation distillation: hand-worked losses, only upper layers and real tokens, and an unchanged teacher."""

import pytest
import torch

from secateur.distillation import RepresentationDistillation
from secateur.distillation.logits import imitation_of
from secateur.distillation.representation import representation_distance
from secateur.errors import SecateurError
from secateur.structure.decomposition import decompose
from secateur.structure.depth import keep_layers
from secateur.structure.observing import layer_outputs
from tests.architectures import random_model
from tests.distillation.test_patient import TASKS, batch_for

SETTINGS = {"temperature": 2.0, "gamma": 0.5, "alpha": 0.2, "beta": 0.3}


def batch_of(task):
    return {**batch_for(task), "question_length": 4}


def both(name, *, lower_layers=1):
    teacher, student = random_model("bert", task=name), random_model("bert", task=name)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    decompose(teacher, lower_layers=0, question_slot=6)
    return decompose(student, lower_layers=lower_layers, question_slot=6), teacher


def loss(task, student, teacher, batch, **settings):
    imitation = RepresentationDistillation(**{**SETTINGS, **settings})
    return imitation.objective(task, teacher=lambda: teacher, teacher_outputs=lambda: None)(student, batch)


def test_the_teacher_teaches_without_dropout():
    """Unlike in the released code: else what is imitated is another each time."""
    task = TASKS["QuestionAnswering"]
    student, teacher = both("QuestionAnswering")
    batch = batch_of(task)
    loss(task, student, teacher.train(), batch)
    assert not any(module.training for module in teacher.modules())


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_is_the_weighted_sum_of_its_three_parts(name):
    task = TASKS[name]
    student, teacher = both(name)
    batch = batch_of(task)
    with layer_outputs(student) as mine, layer_outputs(teacher) as theirs:
        outputs, said = task.forward(student, batch), task.forward(teacher, batch)
    real = batch["attention_mask"].bool()
    distances = [(mine[-n][real] - theirs[-n][real]).square().mean() for n in (2, 1)]
    if name == "SequenceClassification":
        pooled = [model.bert.pooler(states[-1]) for model, states in ((student, mine), (teacher, theirs))]
        distances.append((pooled[0] - pooled[1]).square().mean())
    imitation = imitation_of(task.distilled(outputs, batch), task.distilled(said, batch), temperature=2.0)
    expected = 0.5 * outputs["loss"] + 0.2 * imitation + 0.3 * torch.stack(distances).mean()
    torch.testing.assert_close(loss(task, student, teacher, batch), expected)


def test_padding_has_no_say():
    states = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0]]).bool()
    before = representation_distance([states[0]], [states[1]], mask_BL=mask)
    states[0, 1, 1] = states[0, 1, 3] = 100.0
    assert torch.equal(representation_distance([states[0]], [states[1]], mask_BL=mask), before)
    assert before > 0


def test_a_model_decomposed_throughout_has_no_upper_layers():
    student, teacher = both("QuestionAnswering", lower_layers=3)
    task = TASKS["QuestionAnswering"]
    assert loss(task, student, teacher, batch_of(task), gamma=0, alpha=0, beta=1) == 0


def test_a_model_and_its_like_have_no_distance():
    task = TASKS["QuestionAnswering"]
    _, teacher = both("QuestionAnswering")
    assert loss(task, teacher, teacher, batch_of(task), gamma=0, alpha=1, beta=1).item() == pytest.approx(0, abs=1e-6)


def test_the_student_comes_closer_and_the_teacher_stays():
    task = TASKS["QuestionAnswering"]
    student, teacher = both("QuestionAnswering")
    batch, before = batch_of(task), [weight.clone() for weight in teacher.parameters()]
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    found = []
    for _ in range(40):
        value = loss(task, student, teacher, batch, gamma=0.0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(value.item())
    assert found[-1] < found[0] / 2
    assert all(weight.equal(old) for weight, old in zip(teacher.parameters(), before, strict=True))
    assert all(weight.grad is None for weight in teacher.parameters())


def test_refuses_a_student_of_another_depth_or_layout():
    task = TASKS["QuestionAnswering"]
    student, teacher = both("QuestionAnswering")
    keep_layers(student, [0, 2])
    with pytest.raises(SecateurError, match=r"^distillation=representation: the student has 2 layers [^\n]+=logits$"):
        loss(task, student, teacher, batch_of(task))
    packed = random_model("bert")
    with pytest.raises(
        SecateurError, match=r"reads packed inputs, the teacher 3 and segmented; use distillation=logits$"
    ):
        loss(task, packed, teacher, batch_of(task))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, r"temperature=0\.0: must be above 0"),
        ({"beta": -0.1}, r"beta=-0\.1: must be 0 or more"),
        ({"gamma": 0, "alpha": 0, "beta": 0}, r"gamma=0: with alpha=0 and beta=0 there is nothing to learn; .*"),
    ],
)
def test_refuses_weights_that_mean_nothing(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        RepresentationDistillation(**{**SETTINGS, **settings})
