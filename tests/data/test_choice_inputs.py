"""What the model sees of a question, and what it must not see: options that only fill up the batch."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.choice_inputs import ChoiceInputs, statement_of, tokenize_choices
from secateur.data.choices import FEATURES
from secateur.data.examples import Lengths
from secateur.data.packing import Template

LENGTHS = Lengths(max_seq_length=32, max_question_length=12)
ARTICLE = "Ada Lovelace wrote notes in London."
LONG = "The quick brown fox jumps over the lazy dog. " * 8


def _inputs(
    tokenizer: PreTrainedTokenizerBase, *questions: tuple[str, str, list[str]], lengths: Lengths = LENGTHS
) -> ChoiceInputs:
    rows = [
        {"id": str(n), "title": article, "article": article, "question": q, "options": options, "label": 1, "part": ""}
        for n, (article, q, options) in enumerate(questions)
    ]
    tokens = tokenize_choices(Dataset.from_list(rows, features=FEATURES), tokenizer)
    return ChoiceInputs(tokens, Template.of(tokenizer), lengths)


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("_ wrote notes.", r"A \1 wrote notes."),
        ("Notes were written by   _  .", r"Notes were written by   A \1  ."),
        ("Notes were written by ____.", r"Notes were written by A \1."),
        ("Who wrote notes?", r"Who wrote notes? A \1"),
    ],
)
def test_an_option_fills_the_blank_or_follows_the_question(question, statement):
    """An option is text, not a pattern."""
    assert statement_of(question, r"A \1") == statement


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_each_option_is_an_input_of_statement_and_article(family, request):
    """As the tokenizer itself would lay out the two texts."""
    tokenizer = request.getfixturevalue(family)
    lengths = Lengths(max_seq_length=128, max_question_length=64)
    inputs = _inputs(
        tokenizer,
        (ARTICLE, "Who wrote?", ["Ada", "the dog"]),
        (ARTICLE, "_ wrote.", ["Ada", "Smith"]),
        lengths=lengths,
    )
    batch = inputs.collate([1, 0])
    statements = ["Ada wrote.", "Smith wrote.", "Who wrote? Ada", "Who wrote? the dog"]
    expected = tokenizer(statements, [ARTICLE] * 4, padding=True, return_tensors="pt")
    assert batch["input_ids"].shape[:2] == (2, 2)
    for name, values in expected.items():
        assert batch[name].flatten(0, 1).equal(values)
    assert batch["labels"].tolist() == [1, 1]
    assert batch["items"].tolist() == [1, 0]
    assert batch["option_mask"].all()


def test_the_article_is_cut_to_fit_beside_each_option(bert):
    inputs = _inputs(bert, (LONG, "Who wrote?", ["Ada", "the brown dog sleeps"]))
    batch = inputs.collate([0])
    assert batch["attention_mask"].sum(-1).tolist() == [[32, 32]]
    article = bert(LONG, add_special_tokens=False)["input_ids"]
    for ids, mask in zip(batch["input_ids"][0], batch["document_mask"][0], strict=True):
        kept = ids[mask].tolist()
        assert kept == article[: len(kept)]
        assert ids[-1] == bert.sep_token_id


def test_of_a_long_statement_the_end_is_kept(bert):
    """Options come last: cut from the other side they would all read the same."""
    question, options = "When was the notes on the Analytical Engine wrote in London", ["1843", "1912"]
    inputs = _inputs(bert, (ARTICLE, question, options))
    whole = [bert(f"{question} {option}", add_special_tokens=False)["input_ids"] for option in options]
    assert min(map(len, whole)) > LENGTHS.max_question_length
    starts = inputs.collate([0])["input_ids"][0, :, 1 : 1 + LENGTHS.max_question_length]
    assert starts.tolist() == [ids[-LENGTHS.max_question_length :] for ids in whole]


def test_lengths_are_those_of_the_longest_option(bert):
    questions = [(ARTICLE, "Who wrote?", ["Ada", "the dog sleeps"]), (LONG, "_", ["a", "b"]), ("Ada", "_", ["a", "b"])]
    inputs = _inputs(bert, *questions)
    for item, length in enumerate(inputs.lengths):
        assert inputs.collate([item])["attention_mask"].sum(-1).max() == length
    assert inputs.lengths.max() == LENGTHS.max_seq_length


def test_a_question_with_fewer_options_is_filled_up_beside_others_only(bert):
    """With special tokens: a sequence without any token to attend to would give no numbers."""
    inputs = _inputs(bert, (ARTICLE, "_", ["a", "b"]), (ARTICLE, "_", ["a", "b", "c", "d"]))
    alone, both = inputs.collate([0]), inputs.collate([0, 1])
    assert alone["input_ids"].shape[:2] == (1, 2)
    assert both["option_mask"].tolist() == [[True, True, False, False], [True] * 4]
    assert both["attention_mask"][0, 2:].sum(-1).tolist() == [3, 3]
    assert not both["document_mask"][0, 2:].any()
    assert torch.equal(both["input_ids"][0, :2, : alone["input_ids"].shape[-1]], alone["input_ids"][0])
