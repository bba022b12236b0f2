"""Patient distillation: the loss against hand-worked values, the paper's layers, and the right tokens."""

import copy

import pytest
import torch
from torch.nn import functional

from secateur.data.masking import IGNORED
from secateur.distillation import LogitsDistillation, PatientDistillation, RepresentationDistillation
from secateur.distillation.patient import cls_alone, imitated_layers, patient_distance
from secateur.errors import SecateurError
from secateur.structure.checkpoint import load
from secateur.structure.depth import keep_layers
from secateur.tasks.classification import Classification
from secateur.tasks.masked_lm import MaskedLM
from secateur.tasks.multiple_choice import MultipleChoice
from secateur.tasks.question_answering import QuestionAnswering
from tests.architectures import random_model
from tests.small_runs import run

CLS = cls_alone(torch.ones(2, 4, dtype=torch.bool), position=0)
SETTINGS = {"temperature": 5.0, "alpha": 0.5, "beta": 10.0}


@pytest.mark.parametrize(
    ("student", "teacher", "layers", "expected"),
    [
        (6, 12, "skip", [1, 3, 5, 7, 9]),
        (6, 12, "last", [6, 7, 8, 9, 10]),
        (3, 12, "skip", [3, 7]),
        (4, 6, "skip", [0, 2, 3]),
        (5, 5, "skip", [0, 1, 2, 3]),
        (5, 5, "last", [0, 1, 2, 3]),
        (1, 6, "skip", []),
    ],
)
def test_layers_are_those_of_the_paper(student, teacher, layers, expected):
    """Sun et al., section 3.2: {2, 4, 6, 8, 10} or {7, ..., 11} of 12, counted from 1."""
    assert imitated_layers(student, teacher, layers=layers) == expected


def test_the_distance_is_that_worked_by_hand():
    states = torch.randn(5, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    student, teacher = [*states[:2]], [*states[1:]]
    found = patient_distance(student, teacher, layers="skip", mask_BL=CLS)
    pairs = [(student[0][b, 0], teacher[1][b, 0]) for b in range(2)]
    by_hand = [(mine / mine.norm() - theirs / theirs.norm()).square().sum() for mine, theirs in pairs]
    torch.testing.assert_close(found, sum(by_hand) / 2)


def test_padding_has_no_say():
    states = torch.randn(2, 2, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    before = patient_distance([*states[0]], [*states[1]], layers="skip", mask_BL=mask)
    states[0, :, 1, 2:] = 100.0
    assert torch.equal(patient_distance([*states[0]], [*states[1]], layers="skip", mask_BL=mask), before)


def test_the_last_layer_is_left_to_the_outputs():
    states = torch.randn(2, 2, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    student, teacher = [*states[0]], [*states[1]]
    before = patient_distance(student, teacher, layers="skip", mask_BL=CLS)
    student[-1] = student[-1] + 7
    assert torch.equal(patient_distance(student, teacher, layers="skip", mask_BL=CLS), before)
    assert patient_distance(student[:1], teacher, layers="skip", mask_BL=CLS) == 0


def test_cls_alone_counts_wherever_it_stands():
    """XLNet's is the last token; that of a sequence without tokens, an option that is none, does not."""
    mask = torch.tensor([[1, 1, 1], [0, 0, 0]]).bool()
    assert cls_alone(mask, position=2).tolist() == [[False, False, True], [False] * 3]


def batch_for(task):
    attention_mask = torch.ones(2, 9, dtype=torch.long)
    attention_mask[1, 6:] = 0
    labels = {"labels": torch.tensor([0, 1])}
    spans = {"start_positions": torch.tensor([3, 0]), "end_positions": torch.tensor([4, 0])}
    own = spans if isinstance(task, QuestionAnswering) else labels
    ids = torch.arange(1, 19).view(2, 9)
    return {"input_ids": ids, "attention_mask": attention_mask, "cls_position": 0, **own}


TASKS = {
    "QuestionAnswering": QuestionAnswering(),
    "SequenceClassification": Classification(metrics=["accuracy"], metric="accuracy"),
}


def hidden_batch():
    """Two inputs with three tokens to be guessed, for a masked language model with next sentences."""
    labels_BL = torch.full((2, 9), IGNORED)
    labels_BL[0, 2], labels_BL[0, 5], labels_BL[1, 3] = 7, 9, 11
    own = {"labels": labels_BL, "next_sentence_label": torch.tensor([0, 1])}
    return batch_for(TASKS["SequenceClassification"]) | own


def both(name):
    teacher, student = random_model("bert", task=name), random_model("bert", task=name)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    keep_layers(student, [0, 1])
    return student, teacher


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_is_the_sum_of_its_parts(name):
    task = TASKS[name]
    student, teacher = both(name)
    batch = batch_for(task)

    def loss(**settings):
        imitation = PatientDistillation(**{**SETTINGS, **settings})
        return imitation.objective(task, teacher=lambda: teacher, teacher_outputs=lambda: None)(student, batch)

    outputs, said = task.forward(student, batch), task.forward(teacher, batch)
    logits = LogitsDistillation(temperature=5.0, alpha=0.5)
    alone = logits.loss(outputs["loss"], task.distilled(outputs, batch), task.distilled(said, batch))
    torch.testing.assert_close(loss(beta=0.0), alone)
    more = (loss(beta=2.0) - alone) / 2
    torch.testing.assert_close((loss(beta=1.0) - alone), more)
    assert more > 0


@pytest.mark.parametrize("name", TASKS)
def test_the_student_comes_closer_and_the_teacher_stays(name):
    task = TASKS[name]
    student, teacher = both(name)
    batch = batch_for(task)
    imitation = PatientDistillation(temperature=1.0, alpha=0.0, beta=100.0)
    objective = imitation.objective(task, teacher=lambda: teacher, teacher_outputs=lambda: None)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    first = objective(student, batch).item()
    for _ in range(40):
        optimizer.zero_grad()
        objective(student, batch).backward()
        optimizer.step()
    assert objective(student, batch).item() < 0.5 * first
    assert all(weight.grad is None for weight in teacher.parameters())


def test_question_answering_compares_all_real_tokens_and_classification_the_first():
    """The distance of states that differ at one inner token."""
    assert QuestionAnswering.answers_by_token
    assert not Classification.answers_by_token
    mine, theirs = torch.ones(2, 4, 3), torch.ones(2, 4, 3)
    mine[0, 2] = functional.one_hot(torch.tensor(1), 3).float()
    pair = ([mine, mine], [theirs, theirs])
    assert patient_distance(*pair, layers="skip", mask_BL=CLS) == 0
    assert patient_distance(*pair, layers="skip", mask_BL=torch.ones(2, 4, dtype=torch.bool)) > 0


def test_the_teacher_teaches_without_dropout():
    """Whatever mode it came in: else what is imitated is another each time."""
    task, (student, teacher) = TASKS["QuestionAnswering"], both("QuestionAnswering")
    imitation = PatientDistillation(temperature=1.0, alpha=0.0, beta=1.0)
    imitation.objective(task, teacher=teacher.train, teacher_outputs=lambda: None)(student, batch_for(task))
    assert not any(module.training for module in teacher.modules())


@pytest.mark.parametrize("name", ["representation", "patient"])
def test_options_that_are_none_teach_nothing(name):
    """A question with fewer options than another of its batch: what fills them up has special tokens."""
    task, (student, teacher) = MultipleChoice(), both("MultipleChoice")
    imitation = {
        "patient": PatientDistillation(temperature=1.0, alpha=0.0, beta=1.0),
        "representation": RepresentationDistillation(temperature=1.0, gamma=0.0, alpha=0.0, beta=1.0),
    }[name]
    if name == "representation":
        student = copy.deepcopy(teacher)
        student.bert.embeddings.word_embeddings.weight.data.mul_(1.5)
    batch = {
        "input_ids": torch.arange(1, 25).view(2, 3, 4),
        "attention_mask": torch.ones(2, 3, 4, dtype=torch.long),
        "option_mask": torch.tensor([[True, True, True], [True, True, False]]),
        "labels": torch.tensor([0, 1]),
        "cls_position": 0,
    }
    objective = imitation.objective(task, teacher=lambda: teacher, teacher_outputs=lambda: None)
    before = objective(student, batch)
    batch["input_ids"][1, 2] += 3
    torch.testing.assert_close(objective(student, batch), before, atol=0, rtol=1e-6)
    batch["input_ids"][1, 1] += 3
    assert not torch.isclose(objective(student, batch), before)


@pytest.mark.parametrize(
    "asked",
    [
        ("method=gain",),
        ("method=nip", "method.steps.prune.epochs=1"),
        ("method=theseus", "method.steps.replace.epochs=1"),
        ("method=layerdrop", "method.steps.drop.epochs=1"),
        ("method=layerdrop", "method.steps.drop.epochs=1", "method.unit=ffn"),
        ("method=l0", "method.steps.gate.epochs=1"),
        ("method=magnitude",),
    ],
    ids=lambda asked: asked[-1],
)
def test_every_method_s_student_imitates_layers_also_where_they_change_from_batch_to_batch(asked, tmp_path):
    chosen = (*asked, "sparsity=0.33", "model.epochs=1", "seed=3")
    weights = {
        kind: load(run(*chosen, f"distillation={kind}", output=tmp_path)[1] / "model").state_dict()
        for kind in ("none", "patient")
    }
    name = next(name for name in weights["none"] if name.endswith("layer.0.output.dense.weight"))
    assert weights["patient"][name].isfinite().all()
    assert not torch.equal(weights["patient"][name], weights["none"][name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1.0}, r"beta=-1\.0: must be 0 or more"),
        ({"layers": "first"}, "layers=first: must be one of skip, last"),
        ({"temperature": 0.0}, r"temperature=0\.0: must be above 0"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        PatientDistillation(**{**SETTINGS, **settings})


def test_a_masked_language_model_imitates_what_is_guessed_of_the_same_tokens():
    """Its teacher runs in every step, so that nothing has to be stored of inputs that change from epoch to epoch."""
    assert not PatientDistillation.reads_stored
    assert LogitsDistillation.reads_stored
    task, (student, teacher), batch = MaskedLM(), both("PreTraining"), hidden_batch()
    tokens, pairs = task.distilled(task.forward(student, batch), batch)
    assert (len(tokens.logits), pairs.logits.shape) == (3, (2, 2))
    objective = PatientDistillation(**SETTINGS).objective(task, teacher=lambda: teacher, teacher_outputs=lambda: None)
    objective(student, batch).backward()
    assert student.cls.seq_relationship.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in teacher.parameters())
