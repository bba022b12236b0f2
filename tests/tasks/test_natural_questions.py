"""From logits to answers on pages: the best span, the candidate around it, and the official output format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import ModelOutput

from secateur.data.examples import Lengths
from secateur.data.page_windows import PageWindows
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.structure.modeling_secateur import ANSWER_TYPES
from secateur.tasks.natural_questions import NaturalQuestions, PageEvaluator
from tests.pages import COLOURS, page, write

LENGTHS = Lengths(max_seq_length=40, max_question_length=6, doc_stride=20)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> PageWindows:
    """Six pages of five annotators each."""
    file = write(tmp_path_factory.mktemp("pages") / "pages.jsonl", (page(number, annotators=5) for number in range(6)))
    task = NaturalQuestions()
    rows = task.load_rows(Source(name="nq", train_files=[str(file)], test_files=[str(file)]))["test"]
    tokenizer = train_wordpiece(task.texts(rows), vocab_size=60)
    tokenizer.add_tokens(list(task.added_tokens), special_tokens=True)
    tokens = task.tokenize(rows, tokenizer, LENGTHS)
    return PageWindows(tokens, template_of(tokenizer, LENGTHS), LENGTHS)


def told(examples: PageWindows, *, by: Any, **settings: Any) -> PageEvaluator:
    """An evaluator that took all windows, two at a time; ``by`` fills in the logits of a batch."""
    evaluator = PageEvaluator(NaturalQuestions(**settings), examples)
    for first in range(0, len(examples), 2):
        batch = examples.collate(list(range(first, min(first + 2, len(examples)))))
        shape = batch["input_ids"].shape
        outputs = ModelOutput(
            start_logits=torch.zeros(shape),
            end_logits=torch.zeros(shape),
            answer_type_logits=torch.zeros(shape[0], len(ANSWER_TYPES)),
        )
        by(outputs, batch)
        evaluator.update(outputs, batch)
    return evaluator


def by_labels(outputs: ModelOutput, batch: Any) -> None:
    """What a perfect model says; windows without an answer prefer none."""
    rows = torch.arange(len(batch["items"]))
    outputs["start_logits"][rows, batch["start_positions"]] = 5.0
    outputs["end_logits"][rows, batch["end_positions"]] = 5.0
    outputs["answer_type_logits"][rows, batch["answer_types"]] = 5.0


def test_a_perfect_model_scores_everything(examples: PageWindows) -> None:
    scores = told(examples, by=by_labels).scores()
    for kind in ("long", "short"):
        assert scores[f"{kind}_recall"] == 100
    assert scores["short_f1"] == pytest.approx(100, abs=15)  # a long answer alone has a span, too, that counts as short
    assert scores["long_f1"] == 100


def test_predictions_are_in_the_official_format(examples: PageWindows) -> None:
    found = told(examples, by=by_labels).predictions()["predictions"]
    assert [each["example_id"] for each in found] == list(range(1000, 1006))
    first, yes = found[0], found[3]
    tokens = page(0)["document_text"].split(" ")
    where = tokens.index(COLOURS[0])
    nowhere = {"start_byte": -1, "end_byte": -1}
    assert first == {
        "example_id": 1000,
        "long_answer": {"start_token": 19, "end_token": 29, **nowhere},
        "long_answer_score": 10.0,
        "short_answers": [{"start_token": where, "end_token": where + 1, **nowhere}],
        "short_answers_score": 10.0,
        "yes_no_answer": "NONE",
    }
    assert (yes["short_answers"], yes["yes_no_answer"]) == ([], "YES")


def test_a_span_over_two_candidates_is_none(examples: PageWindows) -> None:
    """The next best span within one of them counts."""

    def across(outputs: ModelOutput, batch: Any) -> None:
        for row, mask in enumerate(batch["document_mask"]):
            first = int(mask.nonzero()[0])
            marker = next((n for n in range(first, len(mask)) if not mask[n] and mask[n:].any()), None)
            if marker is not None:
                outputs["start_logits"][row, marker - 1] = outputs["end_logits"][row, marker + 1] = 5.0

    for found in told(examples, by=across).predictions()["predictions"]:
        (short,), long = found["short_answers"], found["long_answer"]
        assert long["start_token"] <= short["start_token"] < short["end_token"] <= long["end_token"]
        assert found["short_answers_score"] == 5.0


def test_scores_are_above_no_answer(examples: PageWindows) -> None:
    def of_cls(outputs: ModelOutput, batch: Any) -> None:
        outputs["start_logits"][:, 0] = 3.0

    found = told(examples, by=of_cls).predictions()["predictions"]
    assert {each["long_answer_score"] for each in found} == {-3.0}


def test_distilled_are_start_end_and_type(examples: PageWindows) -> None:
    batch = examples.collate([0, 1])
    outputs = ModelOutput(
        start_logits=torch.zeros(batch["input_ids"].shape),
        end_logits=torch.zeros(batch["input_ids"].shape),
        answer_type_logits=torch.zeros(2, 5),
    )
    shapes = [each.log_probabilities().shape[1] for each in NaturalQuestions().distilled(outputs, batch)]
    assert shapes == [batch["input_ids"].shape[1]] * 2 + [5]


@pytest.mark.parametrize("settings", [{"include_unknowns": 0}, {"include_unknowns": 1.5}, {"n_best_size": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SecateurError, match=f"^{next(iter(settings))}="):
        NaturalQuestions(**settings)


def test_rows_can_be_had_without_a_folder(tmp_path: Path) -> None:
    file = str(write(tmp_path / "pages.jsonl", map(page, range(3))))
    rows = NaturalQuestions().load_rows(Source(name="nq", train_files=[file], test_files=[file]))
    assert rows["train"]["id"][:] == ["1000", "1001", "1002"]
