"""Imitating a teacher: the loss against hand-worked values, padding ignored, and regression values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedModel

from secateur.data.examples import Batch
from secateur.distillation import LogitsDistillation, Objective
from secateur.distillation.logits import kl_divergence, mean_squared_error
from secateur.distillation.teacher import TeacherOutputs
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled
from secateur.tasks.question_answering import QuestionAnswering

MASK = torch.tensor([[True, True, True], [True, True, False]])


def _distilled(logits: list[list[float]] | Tensor, mask: Tensor | None = None) -> Distilled:
    return Distilled(logits=torch.as_tensor(logits), mask=mask)


def _probabilities(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(logit / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def _by_hand(student: list[list[float]], teacher: list[list[float]], temperature: float) -> float:
    rows = []
    for mine, theirs in zip(student, teacher, strict=True):
        pairs = zip(_probabilities(theirs, temperature), _probabilities(mine, temperature), strict=True)
        rows.append(sum(p * math.log(p / q) for p, q in pairs))
    return temperature**2 * sum(rows) / len(rows)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_divergence_is_that_worked_by_hand(temperature):
    student, teacher = [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[0.3, 2.5, 0.0], [2.0, 1.0, 1.0]]
    found = kl_divergence(_distilled(student), _distilled(teacher), temperature=temperature)
    assert found.item() == pytest.approx(_by_hand(student, teacher, temperature), rel=1e-5)


def test_masked_positions_leave_both_distributions():
    student, teacher = [[1.0, 2.0, 0.5], [0.0, -1.0, 90.0]], [[0.3, 2.5, 0.0], [2.0, 1.0, -50.0]]
    found = kl_divergence(_distilled(student, MASK), _distilled(teacher, MASK), temperature=2.0)
    rows = [_by_hand([s[:n]], [t[:n]], 2.0) for s, t, n in zip(student, teacher, (3, 2), strict=True)]
    assert found.item() == pytest.approx(sum(rows) / 2, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padding", [0.0, 1e4, -1e4, -math.inf])
def test_gradients_are_zero_at_masked_positions_and_finite_elsewhere(dtype, padding):
    student = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, padding]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[0.3, 2.5, 0.0], [2.0, 2.0, padding]], dtype=dtype)
    kl_divergence(_distilled(student, MASK), _distilled(teacher, MASK), temperature=2.0).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert (student.grad[MASK] != 0).all()
    assert student.grad[1, 2] == 0


def test_a_student_that_agrees_has_nothing_to_learn():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    assert kl_divergence(_distilled(logits + 3), _distilled(logits), temperature=1.0).item() == pytest.approx(
        0, abs=1e-6
    )


def test_gradients_keep_their_size_at_any_temperature():
    """Hinton et al., section 2: without the factor T² they would shrink with the temperature's square."""
    student = torch.tensor([[0.1, 0.2, -0.3]], requires_grad=True)
    teacher = _distilled([[0.3, -0.1, -0.2]])
    norms = []
    for temperature in (50.0, 500.0):
        (gradient,) = torch.autograd.grad(kl_divergence(_distilled(student), teacher, temperature=temperature), student)
        norms.append(gradient.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)
    # In the limit it is the difference of the centred logits over their number (equation 4).
    assert norms[1] == pytest.approx((student.detach() - teacher.logits).norm().item() / 3, rel=1e-2)


def test_alpha_weighs_imitation_against_the_task():
    """The imitation is the mean over the distributions, such as start and end."""
    student = [_distilled([[1.0, 2.0]]), _distilled([[0.0, -1.0]])]
    teacher = [_distilled([[0.3, 2.5]]), _distilled([[2.0, 1.5]])]
    task_loss = torch.tensor(7.0)
    alone = [kl_divergence(s, t, temperature=2.0) for s, t in zip(student, teacher, strict=True)]
    for alpha in (0.0, 0.25, 1.0):
        loss = LogitsDistillation(temperature=2.0, alpha=alpha).loss(task_loss, student, teacher)
        assert loss.item() == pytest.approx((1 - alpha) * 7 + alpha * (alone[0] + alone[1]).item() / 2)


def test_values_are_imitated_by_their_squared_error():
    """A softmax over one number is 1 whatever the number: its divergence would be 0. There is no temperature."""
    student, teacher = torch.tensor([[1.0], [4.0], [2.5]], requires_grad=True), torch.tensor([[2.0], [4.0], [0.5]])
    sides = [[Distilled(logits=side, mask=None, is_value=True)] for side in (student, teacher)]
    for temperature in (1.0, 5.0):
        loss = LogitsDistillation(temperature=temperature, alpha=0.25).loss(torch.tensor(7.0), *sides)
        assert loss.item() == pytest.approx(0.75 * 7 + 0.25 * (1 + 0 + 4) / 3)
    loss.backward()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, 0.25 * 2 / 3 * (student.detach() - teacher))


def test_values_that_do_not_count_are_left_out():
    student = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 90.0]], requires_grad=True)
    teacher = torch.tensor([[2.0, 2.0, 0.5], [0.0, -3.0, 0.0]])
    loss = mean_squared_error(*(Distilled(logits=side, mask=MASK, is_value=True) for side in (student, teacher)))
    assert loss.item() == pytest.approx((1 + 4) / 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, r"^temperature=0\.0: must be above 0$"),
        ({"temperature": -1.0}, r"^temperature=-1\.0: must be above 0$"),
        ({"alpha": -0.1}, r"^alpha=-0\.1: must lie in \[0, 1\]$"),
        ({"alpha": 1.5}, r"^alpha=1\.5: must lie in \[0, 1\]$"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=message):
        LogitsDistillation(**{"temperature": 2.0, "alpha": 0.5, **settings})


# --- With real models ---


def _model(seed: int, *, layers: int = 1, **settings: Any) -> BertForQuestionAnswering:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": layers}
    return BertForQuestionAnswering(BertConfig(vocab_size=50, initializer_range=0.5, **shape, **settings))


class Outputs:
    """What a model says of one batch, in the place of :class:`secateur.distillation.teacher.TeacherOutputs`."""

    def __init__(self, model: BertForQuestionAnswering, batch: Batch) -> None:
        self.items = batch["items"]
        with torch.no_grad():
            self.said = QuestionAnswering().distilled(QuestionAnswering().forward(model.eval(), batch), batch)

    def read(self, items: Tensor, *, like: Sequence[Distilled]) -> list[Distilled]:
        assert items.equal(self.items)
        assert [each.logits.shape for each in like] == [each.logits.shape for each in self.said]
        return self.said


def _objective(teacher: BertForQuestionAnswering, batch: Batch, **settings: float) -> Objective:
    outputs = cast(TeacherOutputs, Outputs(teacher, batch))
    imitation = LogitsDistillation(**settings)
    return imitation.objective(QuestionAnswering(), teacher=_not_loaded, teacher_outputs=lambda: outputs)


def _not_loaded() -> PreTrainedModel:
    raise AssertionError("what the teacher says is read, it does not run")


@pytest.fixture
def batch() -> Batch:
    """Two windows, the second with 4 tokens of padding."""
    attention_mask = torch.ones(2, 10, dtype=torch.long)
    attention_mask[1, 6:] = 0
    return {
        "input_ids": torch.arange(1, 21).view(2, 10),
        "attention_mask": attention_mask,
        "start_positions": torch.tensor([3, 0]),
        "end_positions": torch.tensor([4, 0]),
        "items": torch.tensor([8, 3]),
    }


def test_without_imitation_the_loss_is_the_tasks(batch):
    student = _model(0).eval()
    objective = _objective(_model(1), batch, temperature=2.0, alpha=0.0)
    assert torch.equal(objective(student, batch), QuestionAnswering().forward(student, batch)["loss"])


def test_the_student_learns_to_imitate(batch):
    """Labels say one thing, the teacher another: with alpha=1 only the teacher counts."""
    teacher, student = _model(1), _model(0, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    objective = _objective(teacher, batch, temperature=1.0, alpha=1.0)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    first = objective(student, batch).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(student, batch)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * first
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(student(**inputs).start_logits[0].argmax(), teacher(**inputs).start_logits[0].argmax())
