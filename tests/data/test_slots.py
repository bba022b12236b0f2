"""Question and document in separate slots: every token where it belongs, the same rows, questions and answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from datasets import Dataset

from secateur.data.choice_inputs import ChoiceInputs, tokenize_choices
from secateur.data.choices import FEATURES as CHOICES
from secateur.data.examples import Lengths
from secateur.data.question_windows import QuestionWindows, tokenize_questions
from secateur.data.slots import template_of
from secateur.data.text_pairs import TextPairs, tokenize_pairs
from secateur.errors import SecateurError
from tests.data.test_question_windows import LONG, _rows

NULL = 0  # where BERT's [CLS] is
LENGTHS = Lengths(max_seq_length=32, max_question_length=8, doc_stride=6, layout="segmented")
PACKED = dataclasses.replace(LENGTHS, layout="packed")
ASKED = (("Who wrote the notes?", LONG, "Ada Lovelace"), ("When?", LONG, "1843"), ("Who?", "The dog sleeps.", None))


def windows_of(tokenizer, *asked, lengths=LENGTHS):
    return QuestionWindows(tokenize_questions(_rows(*asked), tokenizer), template_of(tokenizer, lengths), lengths)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlnet"])
def test_each_slot_is_as_wide_as_its_longest(family, request):
    """XLNet's question ends in [CLS], and where it ends the document begins: its padding stands first."""
    tokenizer = request.getfixturevalue(family)
    windows = windows_of(tokenizer, *ASKED)
    batch = windows.collate(list(range(len(windows))))
    width = batch["question_length"]
    cls, sep, pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    assert width == max(windows.question_sizes) + 2
    assert "token_type_ids" not in batch
    for item, (ids, mask) in enumerate(zip(batch["input_ids"], batch["attention_mask"], strict=True)):
        window = windows.windows[item]
        question = windows.questions[window.example][:8]
        question = [*question, sep, cls] if family == "xlnet" else [cls, *question, sep]
        document = windows.documents[window.example][window.first_token : window.first_token + window.size]
        padding = [pad] * (width - len(question))
        assert ids[:width].tolist() == (padding + question if family == "xlnet" else question + padding)
        assert ids[batch["cls_position"]] == cls
        assert ids[width:][mask[width:].bool()].tolist() == [*document, sep]
        assert ids[batch["document_mask"][item]].tolist() == document.tolist()
        assert mask.sum() == windows.lengths[item] == len(question) + len(document) + 1


def test_labels_follow_the_slot_of_their_batch(bert):
    """The same window beside a longer question: the answer is further on, and still the same tokens."""
    windows = windows_of(bert, *ASKED)
    places = {}
    for items in ([item] for item in range(len(windows))):
        places[items[0]] = windows.collate(items)
    together = windows.collate(list(range(len(windows))))
    shifted = 0
    for item, alone in places.items():
        start, end = (int(alone[f"{name}_positions"][0]) for name in ("start", "end"))
        begin, stop = (int(together[f"{name}_positions"][item]) for name in ("start", "end"))
        assert (start == NULL) == (begin == NULL)
        if start != NULL:
            text = bert.decode(alone["input_ids"][0, start : end + 1])
            assert text == bert.decode(together["input_ids"][item, begin : stop + 1])
            assert text in {"ada lovelace", "1843"}
            assert begin - int(together["document_start"][item]) == start - int(alone["document_start"][0])
            shifted += begin != start
    assert shifted


def test_windows_do_not_depend_on_the_question(bert):
    """Else what is kept of a document would serve one question only."""
    windows = windows_of(bert, ("Who wrote the notes?", LONG, None), ("When?", LONG, None))
    cuts = {row: [(w.first_token, w.size) for w in windows.windows if w.example == row] for row in (0, 1)}
    assert cuts[0] == cuts[1]
    assert max(size for _, size in cuts[0]) == 32 - (8 + 2) - 1


def test_questions_are_cut_alike_in_both_layouts(bert):
    question = "When was the café in Zürich opened by the brothers Smith-Jones?"
    for lengths in (LENGTHS, PACKED):
        windows = windows_of(bert, (question, "In 1912.", None), ("Who?", "Ada.", None), lengths=lengths)
        assert (windows.questions_cut, windows.question_sizes[0]) == (1, 8)


def pairs_of(tokenizer, *texts, document="text_pair", lengths=LENGTHS):
    rows = Dataset.from_list(
        [{"id": str(n), "text": one, "text_pair": two, "label": 0} for n, (one, two) in enumerate(texts)]
    )
    tokens = tokenize_pairs(rows, tokenizer)
    return TextPairs(tokens, template_of(tokenizer, lengths), lengths, document=document)


@pytest.mark.parametrize(("document", "order"), [("text_pair", (0, 1)), ("text", (1, 0))])
def test_either_text_of_a_pair_can_be_the_document(bert, document, order):
    """The other goes first, with [CLS]; each is cut to its own slot."""
    texts = ("The dog sleeps.", "Ada wrote the notes.")
    pairs = pairs_of(bert, texts, (LONG, LONG), document=document)
    batch = pairs.collate([0])
    asked, kept = (bert(texts[place], add_special_tokens=False)["input_ids"] for place in order)
    sep = bert.sep_token_id
    assert batch["input_ids"][0].tolist() == [bert.cls_token_id, *asked, sep, *kept, sep]
    assert batch["question_length"] == len(asked) + 2
    assert pairs.lengths.tolist() == [len(asked) + len(kept) + 3, 32]
    assert pairs.questions_cut == 1


def test_a_choice_keeps_the_end_of_its_statement_and_the_article_its_own_slot(bert):
    rows = [
        {"id": "0", "title": "", "article": LONG, "question": q, "options": options, "label": 0, "part": ""}
        for q, options in (("Who was it that wrote all of the notes in", ["1843", "1912"]), ("_", ["a", "b", "c"]))
    ]
    inputs = ChoiceInputs(
        tokenize_choices(Dataset.from_list(rows, features=CHOICES), bert), template_of(bert, LENGTHS), LENGTHS
    )
    batch = inputs.collate([0, 1])
    width = batch["question_length"]
    assert (width, tuple(batch["input_ids"].shape)) == (10, (2, 3, 32))
    whole = bert("Who was it that wrote all of the notes in 1843", add_special_tokens=False)["input_ids"]
    assert batch["input_ids"][0, 0, :width].tolist() == [bert.cls_token_id, *whole[-8:], bert.sep_token_id]
    articles = batch["input_ids"][..., width:]
    assert articles[0, 0].equal(articles[0, 1])
    assert articles[0, 0].equal(articles[1, 2])
    assert inputs.lengths.tolist() == [32, 32 - 8 + 1]


def test_refuses_an_empty_document_and_single_texts(bert):
    with pytest.raises(SecateurError, match=r"^row 1: its document is empty, [a-z, ]+; remove the row$"):
        windows_of(bert, ("Who?", "Ada.", None), ("Who?", "\u200b", None))
    with pytest.raises(SecateurError, match=r"^row 0: its document is empty, [a-z, ]+; remove the row$"):
        pairs_of(bert, ("Ada.", ""), ("Ada.", "The dog."))
    with pytest.raises(SecateurError, match=r"^dataset: its rows are single texts; only pairs can be read separately$"):
        pairs_of(bert, ("Ada.", ""), ("The dog.", ""))


def test_the_special_tokens_of_both_families(bert, roberta):
    """RoBERTa's second separator in the middle of a pair goes with neither slot."""
    for tokenizer in (bert, roberta):
        template = template_of(tokenizer, LENGTHS)
        assert (template.added(), template.question_slot(25)) == (3, 27)
        assert template.document_rooms(np.array([1, 8]), LENGTHS).tolist() == [21, 21]
