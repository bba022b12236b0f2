"""Natural Questions: a long answer, a short one, or neither, somewhere on a complete page (Kwiatkowski et al. 2019).

The approach is that of Alberti, Lee and Collins, "A BERT Baseline for the Natural Questions" (arXiv 1901.08634): the
page is read in windows, the span that scores highest relative to no answer is the short answer, and the paragraph,
table or list around it is the long one.

Shapes: B windows in a batch, L tokens of the longest of them, N spans kept per window, P pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.page_formats import MARKERS, NO, NO_SPAN, NONE, YES
from secateur.data.page_windows import PageWindows, tokenize_pages, write_page_tokens
from secateur.data.pages import load_pages
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.errors import SecateurError, check_at_least_one
from secateur.structure.modeling_secateur import ANSWER_TYPES
from secateur.tasks.base import Distilled, Evaluator, Task, model_inputs
from secateur.tasks.nq_scores import Answer, Prediction, nq_scores
from secateur.tasks.question_answering import span_distributions
from secateur.tasks.spans import best_spans


class NaturalQuestions(Task):
    """Long and short answers on pages.

    Args:
        include_unknowns: share of the training windows without the answer that are kept for training, in (0, 1].
        n_best_size: spans considered in each window; the best one within a single paragraph, table or list counts.
        max_answer_length: maximum length of a short answer, in tokens.
    """

    auto_class = "AutoModelForNaturalQuestions"
    metric = "short_f1"
    group_keys = ("title", "id")
    answers_by_token = True
    asks_of_documents = True
    added_tokens: ClassVar[tuple[str, ...]] = MARKERS

    def __init__(self, *, include_unknowns: float = 0.02, n_best_size: int = 20, max_answer_length: int = 30) -> None:
        if not 0 < include_unknowns <= 1:
            raise SecateurError(f"include_unknowns={include_unknowns}: must lie in (0, 1]")
        check_at_least_one(n_best_size=n_best_size, max_answer_length=max_answer_length)
        self.include_unknowns = include_unknowns
        self.n_best_size = n_best_size
        self.max_answer_length = max_answer_length

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """Two outputs per token, whatever head a checkpoint's config describes."""
        return {"num_labels": 2}

    def load_rows(self, source: Source) -> DatasetDict:
        """Pages in memory; see :mod:`secateur.data.pages`."""
        with TemporaryDirectory() as folder:
            rows = load_pages(source, Path(folder))
            return DatasetDict({name: split.flatten_indices(keep_in_memory=True) for name, split in rows.items()})

    def read_rows(self, source: Source, folder: Path) -> DatasetDict:
        """Pages on disk."""
        return load_pages(source, folder)

    def texts(self, rows: Dataset) -> Iterable[str]:
        """Questions and the parts of the pages that are shown, read lazily."""
        for batch in rows.select_columns(["question", "texts"]).iter(batch_size=100):
            for question, texts in zip(batch["question"], batch["texts"], strict=True):
                yield question
                yield from texts

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Question and page separately, in memory; see :mod:`secateur.data.page_windows`."""
        with TemporaryDirectory() as folder:
            return tokenize_pages(rows, tokenizer, Path(folder)).flatten_indices(keep_in_memory=True)

    def write_tokens(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, folder: Path) -> None:
        """The same on disk, in several processes."""
        write_page_tokens(rows, tokenizer, folder)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Sliding windows over the pages."""
        return PageWindows(tokens, template_of(tokenizer, lengths), lengths)

    def training_examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """All windows with the answer, and a share of the others, which are far more numerous."""
        template = template_of(tokenizer, lengths)
        return PageWindows(tokens, template, lengths, include_unknowns=self.include_unknowns)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Start and end logits (B, L), answer_type_logits (B, 5), and the mean of the three cross-entropies."""
        return model(**model_inputs(batch, "start_positions", "end_positions", "answer_types"))

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """Start and end distributions over the real tokens of each window (B, L), and of the answer type (B, 5)."""
        return [*span_distributions(outputs, batch), Distilled(logits=outputs["answer_type_logits"], mask=None)]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Keeps the best span of each page, and scores pages at the end."""
        assert isinstance(examples, PageWindows)
        return PageEvaluator(self, examples)


class PageEvaluator(Evaluator):
    """Long- and short-answer scores over one pass, as computed by the official scorer."""

    def __init__(self, task: NaturalQuestions, examples: PageWindows) -> None:
        self.task = task
        self.examples = examples
        pages = len(examples.rows)
        # For the best span of each page: its score minus that of no answer, its page tokens, and the answer type.
        self.scores_P = np.full(pages, -np.inf)
        self.spans_P = np.full((pages, 2), -1, dtype=np.int64)
        self.types_P = np.zeros(pages, dtype=np.int64)

    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Keep the best span of each window that lies within one candidate, if the page has no better one yet."""
        spans = best_spans(
            outputs["start_logits"].float().cpu(),
            outputs["end_logits"].float().cpu(),
            batch["document_mask"].cpu(),
            n_best_size=self.task.n_best_size,
            max_answer_length=self.task.max_answer_length,
            cls_position=batch["cls_position"],
        )
        types_B = outputs["answer_type_logits"].argmax(-1).tolist()
        score_BN = (spans.score_BN - spans.null_score_B[:, None]).tolist()
        shift_B = self.examples.firsts[batch["items"].tolist()] - batch["document_start"].cpu().numpy()
        starts_BN, ends_BN = (each.numpy() + shift_B[:, None] for each in (spans.start_BN, spans.end_BN))
        for row, page in enumerate(self.examples.pages[batch["items"].tolist()].tolist()):
            for start, end, score in zip(starts_BN[row], ends_BN[row], score_BN[row], strict=True):
                if score <= self.scores_P[page]:
                    break
                span = self.examples.words[page][[start, end]].tolist()
                if self._candidate(page, span[0]) == self._candidate(page, span[1]):
                    self.scores_P[page], self.spans_P[page], self.types_P[page] = score, span, types_B[row]
                    break

    def scores(self) -> dict[str, float]:
        """See :func:`secateur.tasks.nq_scores.nq_scores`."""
        return nq_scores(self._found, _golds(self.examples.rows))

    def predictions(self) -> dict[str, list[dict[str, Any]]]:
        """Input for the official scorer; byte offsets are not kept, so it compares tokens."""
        return {"predictions": [_official(page_id, found) for page_id, found in self._found.items()]}

    @cached_property
    def _found(self) -> dict[str, Prediction]:
        return {page_id: self._prediction(page) for page, page_id in enumerate(self.examples.rows["id"])}

    def _prediction(self, page: int) -> Prediction:
        """The best span is the short answer, unless the type is yes or no; the long one is the candidate around it."""
        score = float(self.scores_P[page])
        if score == -np.inf:  # a page without any text
            return Prediction(answer=Answer(NO_SPAN, [], NONE), long_score=0.0, short_score=0.0)
        first, last = self.spans_P[page].tolist()
        yes_no = {"yes": YES, "no": NO}.get(ANSWER_TYPES[self.types_P[page]], NONE)
        answer = Answer(self._candidate(page, first), [] if yes_no != NONE else [(first, last + 1)], yes_no)
        return Prediction(answer=answer, long_score=score, short_score=score)

    def _candidate(self, page: int, token: int) -> tuple[int, int]:
        """The span of the candidate that contains a page token."""
        spans = self.examples.candidates[page].reshape(-1, 2)
        first, end = spans[np.searchsorted(spans[:, 0], token, side="right") - 1].tolist()
        return first, end


def _golds(rows: Dataset) -> dict[str, list[Answer]]:
    columns = rows.select_columns(["id", "long_answers", "short_answers", "yes_no_answers"])
    return {
        row["id"]: [
            Answer(long, short, yes_no)
            for long, short, yes_no in zip(
                _pairs(row["long_answers"]), map(_pairs, row["short_answers"]), row["yes_no_answers"], strict=True
            )
        ]
        for row in columns
    }


def _pairs(flat: list[int]) -> list[tuple[int, int]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _official(page_id: str, found: Prediction) -> dict[str, Any]:
    return {
        "example_id": int(page_id) if page_id.removeprefix("-").isdigit() else page_id,
        "long_answer": _official_span(found.answer.long),
        "long_answer_score": found.long_score,
        "short_answers": [_official_span(span) for span in found.answer.short],
        "short_answers_score": found.short_score,
        "yes_no_answer": found.answer.yes_no,
    }


def _official_span(span: tuple[int, int]) -> dict[str, int]:
    return {"start_token": span[0], "end_token": span[1], "start_byte": -1, "end_byte": -1}
