"""Questions with windows: the answer's characters map to the right tokens in every window that fully contains them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.packing import Template
from secateur.data.question_windows import QuestionWindows, tokenize_questions
from secateur.data.squad import FEATURES

NULL = 0  # where BERT's [CLS] is
LENGTHS = Lengths(max_seq_length=32, max_question_length=8, doc_stride=6)
LONG = "The brown dog sleeps. " * 3 + "In 1843 Ada Lovelace wrote notes. " + "The quick fox jumps over the dog. " * 3


def _rows(*questions: tuple[str, str, str | None]) -> Dataset:
    """Rows of (question, context, answer); the answer stands where it occurs first, None is unanswerable."""
    columns: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for number, (question, context, answer) in enumerate(questions):
        found = [] if answer is None else [answer]
        row = {
            "id": str(number),
            "title": "t",
            "context": context,
            "question": question,
            "answers": {"text": found, "answer_start": [context.index(text) for text in found]},
        }
        for name, value in row.items():
            columns[name].append(value)
    return Dataset.from_dict(columns, features=FEATURES)


def _windows(rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths = LENGTHS) -> QuestionWindows:
    return QuestionWindows(tokenize_questions(rows, tokenizer), Template.of(tokenizer), lengths)


def _spans(windows: QuestionWindows) -> list[tuple[int, int]]:
    batch = windows.collate(list(range(len(windows))))
    return list(zip(batch["start_positions"].tolist(), batch["end_positions"].tolist(), strict=True))


def _start(windows: QuestionWindows, item: int) -> int:
    """Position of a window's first document token."""
    return int(windows.collate([item])["document_start"][0])


def _labelled(windows: QuestionWindows, item: int = 0) -> str:
    """The characters of the context that the labels of a window cover."""
    start, end = _spans(windows)[item]
    shift = windows.windows[item].first_token - _start(windows, item)
    offsets = windows.offsets[windows.windows[item].example].reshape(-1, 2)
    context = windows.rows["context"][windows.windows[item].example]
    return context[offsets[start + shift, 0] : offsets[end + shift, 1]]


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("Ada wrote the notes in 1843.", "1843"),
        ("Ada wrote the notes in 1843.", "Ada"),
        ("Ada wrote the notes in 1843.", "1843."),
        ("The café (in Zürich) was opened.", "café (in Zürich)"),
        ("The naïve Ŝmith 😀 ran.", "naïve Ŝmith"),
        ("She was paid 5 € for it.", "5 €"),
        ("Both\n\t spaces   count.", "spaces   count"),
    ],
)
def test_labels_cover_the_answer(family, context, answer, request):
    """Also with accents, several bytes to a character, and any white space."""
    lengths = dataclasses.replace(LENGTHS, max_seq_length=64)
    windows = _windows(_rows(("Who?", context, answer)), request.getfixturevalue(family), lengths)
    assert len(windows) == 1
    assert _labelled(windows) == answer


def test_a_character_of_several_tokens_is_covered_whole(roberta):
    """Each byte of 😀 is a token whose offsets are those of the whole character."""
    windows = _windows(_rows(("Who?", "a 😀 b", "😀")), roberta)
    (span,) = _spans(windows)
    ids = windows.collate([0])["input_ids"][0, span[0] : span[1] + 1]
    assert roberta.decode(ids).strip() == "😀"


def test_an_answer_inside_a_token_takes_the_whole_token(bert):
    context = "Ada wrote the notes in 1843-1850."
    for answer, covered in (("wrot", "wrote"), ("rote", "wrote"), ("te the no", "wrote the notes")):
        windows = _windows(_rows(("Who?", context, answer)), bert)
        assert bert.tokenize("wrote the notes") == ["wrote", "the", "notes"]
        assert _labelled(windows) == covered


def test_decoded_labels_read_like_the_answer(bert):
    """From the batch itself, through the vocabulary, without offsets."""
    windows = _windows(_rows(("Who wrote?", LONG, "Ada Lovelace"), ("When?", LONG, "1843")), bert)
    batch = windows.collate(list(range(len(windows))))
    found: dict[int, set[str]] = {}
    for item, (start, end) in enumerate(_spans(windows)):
        if start != NULL:
            text = bert.decode(batch["input_ids"][item, start : end + 1])
            found.setdefault(windows.windows[item].example, set()).add(text)
    assert found == {0: {"ada lovelace"}, 1: {"1843"}}


def test_windows_without_the_whole_answer_point_at_cls(bert):
    """The answer is cut in two by one window's end; the next one holds all of it."""
    context = " ".join([*["dog"] * 24, "Ada", "Lovelace", "wrote", *["dog"] * 40])
    windows = _windows(_rows(("Who?", context, "Ada Lovelace wrote")), bert)
    first, last = windows.answer_spans[0].tolist()
    holding = []
    for item, (window, span) in enumerate(zip(windows.windows, _spans(windows), strict=True)):
        if window.first_token <= first and last < window.first_token + window.size:
            shift = _start(windows, item) - window.first_token
            assert span == (first + shift, last + shift)
            holding.append(item)
        else:
            assert span == (NULL, NULL)
    overlapping = [w for w in windows.windows if w.first_token <= last and first < w.first_token + w.size]
    assert (len(holding), len(overlapping), len(windows)) == (1, 2, 4)
    assert windows.collate([0])["input_ids"][0, NULL] == bert.cls_token_id


def test_unanswerable_questions_point_at_cls(bert):
    windows = _windows(_rows(("Who?", LONG, None), ("Who?", "Ada.", None)), bert)
    assert set(_spans(windows)) == {(NULL, NULL)}
    assert windows.answer_spans.tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("others", [[], [("Who?", "Ada wrote.", "Ada")]])
def test_documents_without_tokens_have_one_empty_window(bert, others):
    """A zero-width space is no blank to Python, yet the tokenizer drops it; its answer has no token to point at."""
    windows = _windows(_rows(("Who?", "\u200b", None), ("Who?", "\u200b", "\u200b"), *others), bert)
    assert [(window.example, window.size) for window in windows.windows[:2]] == [(0, 0), (1, 0)]
    assert _spans(windows)[:2] == [(NULL, NULL)] * 2
    batch = windows.collate([0, 1])
    assert not batch["document_mask"].any()


def test_long_questions_are_cut(bert):
    question = "When was the café in Zürich opened by the brothers Smith-Jones?"
    whole = bert(question, add_special_tokens=False)["input_ids"]
    assert len(whole) > LENGTHS.max_question_length
    windows = _windows(_rows((question, "It was opened in 1912.", "1912")), bert)
    ids = windows.collate([0])["input_ids"][0].tolist()
    assert ids[1 : LENGTHS.max_question_length + 2] == [*whole[: LENGTHS.max_question_length], bert.sep_token_id]
    assert windows.questions_cut == 1
    assert _start(windows, 0) == LENGTHS.max_question_length + 2
    assert _labelled(windows) == "1912"


def test_lengths_are_those_of_the_packed_windows(bert):
    windows = _windows(_rows(("Who?", LONG, "Ada"), ("When was it?", "Ada wrote.", None)), bert)
    batch = windows.collate(list(range(len(windows))))
    assert batch["attention_mask"].sum(1).tolist() == windows.lengths.tolist()
    assert max(windows.lengths) == LENGTHS.max_seq_length
    assert batch["items"].tolist() == list(range(len(windows)))


def test_each_question_keeps_its_own_row(bert):
    """Passages are tokenised once and shared, in whatever order they come."""
    contexts = ["Ada wrote the notes.", "The dog sleeps in London."]
    rows = _rows(*(("Who" + "?" * n, contexts[n % 2], contexts[n % 2].split()[n % 3]) for n in range(6)))
    windows = _windows(rows, bert)
    for row, answers in enumerate(rows["answers"]):
        assert _labelled(windows, row) == answers["text"][0]
        assert bert.decode(windows.questions[row]).count("?") == row


def test_labels_are_those_of_the_usual_scripts(bert):
    """Against the tokenizer's own windows, and a walk over their offsets from both ends towards the answer."""
    words = LONG.split()
    answers = [" ".join(words[first : first + size]).rstrip(".") for first in range(12, 20) for size in (1, 2, 4)]
    answers += ["Love", "velac", "wrote n", "."]
    rows = _rows(*(("Who wrote the notes?", LONG, answer) for answer in answers), ("Who?", LONG, None))
    windows = _windows(rows, bert)
    ours: list[list[tuple[int, int]]] = [[] for _ in rows]
    for window, span in zip(windows.windows, _spans(windows), strict=True):
        ours[window.example].append(span)
    for row, spans in zip(rows, ours, strict=True):
        assert spans == _usual_labels(bert, row)


def _usual_labels(tokenizer: PreTrainedTokenizerBase, row: dict[str, Any]) -> list[tuple[int, int]]:
    encoded = tokenizer(
        row["question"],
        row["context"],
        truncation="only_second",
        max_length=LENGTHS.max_seq_length,
        stride=LENGTHS.doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    labels = []
    for number, offsets in enumerate(encoded["offset_mapping"]):
        document = [place for place, owner in enumerate(encoded.sequence_ids(number)) if owner == 1]
        begin = (row["answers"]["answer_start"] or [-1])[0]
        end = begin + len(row["answers"]["text"][0]) if begin >= 0 else -1
        if begin < 0 or offsets[document[0]][0] > begin or offsets[document[-1]][1] < end:
            labels.append((0, 0))
            continue
        labels.append(
            (
                max(place for place in document if offsets[place][0] <= begin),
                min(place for place in document if offsets[place][1] >= end),
            )
        )
    return labels


def test_xlnet_points_at_its_cls_which_is_last(xlnet):
    """And labels follow the padding that stands first."""
    windows = _windows(
        _rows(("Who?", LONG, None), ("Who?", LONG, "Ada Lovelace"), ("When?", "In 1843.", "1843")), xlnet
    )
    batch = windows.collate(list(range(len(windows))))
    found = set()
    for item, window in enumerate(windows.windows):
        start, end = int(batch["start_positions"][item]), int(batch["end_positions"][item])
        text = xlnet.decode(batch["input_ids"][item, start : end + 1])
        assert (start == batch["cls_position"] == end) == (text == "<cls>")
        found.add((window.example, text.strip(" .,")))
    assert found >= {(0, "<cls>"), (1, "Ada Lovelace"), (2, "1843")}
    assert (1, "Ada") not in found
