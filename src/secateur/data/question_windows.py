"""Questions with windows of their documents: tokenised separately, then truncated and laid out per batch.

Shapes: B windows in a batch, T tokens of a document.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths, tokenized
from secateur.data.packing import Template
from secateur.data.slots import check_documents
from secateur.data.windows import ragged, slide


def tokenize_questions(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Add token columns to rows of SQuAD's schema.

    Returns:
        The rows with question_ids, document_ids, document_offsets (start and end character of each document token, as
        one flat list) and answer_span (first and last document token of the first answer, or -1, -1).
    """
    return tokenized(rows, _tokenize, tokenizer=tokenizer)


class QuestionWindows(Examples):
    """Windows over tokenised rows; an item is a window's index, the collator truncates and lays out."""

    def __init__(self, tokens: Dataset, template: Template, lengths: Lengths) -> None:
        self.rows = tokens
        self.template = template
        self.questions = ragged(tokens, "question_ids")
        self.documents = ragged(tokens, "document_ids")
        self.offsets = ragged(tokens, "document_offsets")
        self.answer_spans = tokens.with_format("numpy")["answer_span"][:]
        check_documents(template, self.documents.sizes, tokens["id"])
        self.question_sizes = np.minimum(self.questions.sizes, lengths.max_question_length)
        self.questions_cut = int((self.question_sizes < self.questions.sizes).sum())
        rooms = template.document_rooms(self.question_sizes, lengths)
        self.windows = slide(self.documents.sizes, rooms, doc_stride=lengths.doc_stride)
        self.lengths = np.array(
            [template.added() + self.question_sizes[window.example] + window.size for window in self.windows]
        )

    def __len__(self) -> int:
        return len(self.windows)

    def collate(self, items: list[int]) -> Batch:
        """Inputs, labels start_positions and end_positions (B,), document_start (B,) and the window indices (B,).

        ``document_start`` is the position of the first document token. The labels of a window without the complete
        answer point to [CLS].
        """
        windows = [self.windows[item] for item in items]
        sizes = self.question_sizes[[window.example for window in windows]]
        questions = [self.questions[window.example][:size] for window, size in zip(windows, sizes, strict=True)]
        documents = [
            self.documents[window.example][window.first_token : window.first_token + window.size] for window in windows
        ]
        laid_out = self.template.lay_out(questions, documents)
        starts = laid_out["document_mask"].int().argmax(-1)
        spans = torch.tensor([self._span(item) for item in items])
        spans = torch.where(spans < 0, laid_out["cls_position"], spans + starts[:, None])
        return {
            **laid_out,
            "start_positions": spans[:, 0],
            "end_positions": spans[:, 1],
            "document_start": starts,
            "items": torch.tensor(items),
        }

    def _span(self, item: int) -> tuple[int, int]:
        """Position of the answer among the window's document tokens, or -1, -1 if it is not completely inside."""
        window = self.windows[item]
        start, end = self.answer_spans[window.example].tolist()
        inside = window.first_token <= start and end < window.first_token + window.size
        if start < 0 or not inside:
            return -1, -1
        return start - window.first_token, end - window.first_token


def _tokenize(rows: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[Any]]:
    questions = tokenizer(rows["question"], add_special_tokens=False, verbose=False)["input_ids"]
    # A passage usually has several questions: each distinct passage is tokenised once.
    contexts = list(dict.fromkeys(rows["context"]))
    encoded = tokenizer(contexts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    place = {context: number for number, context in enumerate(contexts)}
    offsets = [np.asarray(pairs, dtype=np.int32).reshape(-1, 2) for pairs in encoded["offset_mapping"]]
    numbers = [place[context] for context in rows["context"]]
    return {
        "question_ids": [np.asarray(ids, dtype=np.int32) for ids in questions],
        "document_ids": [np.asarray(encoded["input_ids"][number], dtype=np.int32) for number in numbers],
        "document_offsets": [offsets[number].reshape(-1) for number in numbers],
        "answer_span": [
            _answer_span(answers, offsets[number]) for answers, number in zip(rows["answers"], numbers, strict=True)
        ],
    }


def _answer_span(answers: dict[str, list[Any]], offsets: np.ndarray) -> list[int]:
    """First and last token that overlap the first answer; offsets (T, 2) in characters."""
    if not answers["text"]:
        return [-1, -1]
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    first = int(np.searchsorted(offsets[:, 1], begin, side="right"))
    last = int(np.searchsorted(offsets[:, 0], end, side="left")) - 1
    return [first, last] if first <= last else [-1, -1]
