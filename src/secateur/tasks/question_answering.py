"""Extractive question answering: the answer is a span of the document, or there is none.

Shapes: B windows in a batch, L tokens of the longest of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.question_windows import QuestionWindows, tokenize_questions
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.data.squad import load_rows, no_answer
from secateur.errors import check_at_least_one
from secateur.tasks.base import Distilled, Evaluator, Task, model_inputs
from secateur.tasks.spans import Question, QuestionAnswer, Spans, Windows, answers, best_spans
from secateur.tasks.squad_scores import squad_v1_scores, squad_v2_scores


class QuestionAnswering(Task):
    """Predict start and end of the answer, as in SQuAD.

    Args:
        version_2_with_negative: questions may have no answer; scores are those of SQuAD 2.0.
        n_best_size: answers kept per window, and per question in the n-best list.
        max_answer_length: maximum length of an answer, in tokens.
        null_score_diff_threshold: predict no answer if null score - best span score exceeds this.
    """

    auto_class = "AutoModelForQuestionAnswering"
    metric = "f1"
    group_keys = ("title", "context")
    answers_by_token = True
    asks_of_documents = True

    def __init__(
        self,
        *,
        version_2_with_negative: bool = False,
        n_best_size: int = 20,
        max_answer_length: int = 30,
        null_score_diff_threshold: float = 0.0,
    ) -> None:
        check_at_least_one(n_best_size=n_best_size, max_answer_length=max_answer_length)
        self.version_2_with_negative = version_2_with_negative
        self.n_best_size = n_best_size
        self.max_answer_length = max_answer_length
        self.null_score_diff_threshold = null_score_diff_threshold

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """Two outputs per token, whatever head a checkpoint's config describes."""
        return {"num_labels": 2}

    def load_rows(self, source: Source) -> DatasetDict:
        """Rows in SQuAD's schema; see :mod:`secateur.data.squad`.

        Raises:
            SecateurError: naming file and row, if one is malformed, or a question has no answer although it must.
        """
        return load_rows(source, unanswerable=self.version_2_with_negative)

    def texts(self, rows: Dataset) -> list[str]:
        """Questions and contexts."""
        return [*rows["question"], *rows["context"]]

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Question and document separately; see :func:`secateur.data.question_windows.tokenize_questions`."""
        return tokenize_questions(rows, tokenizer)

    def check_stored(self, tokens: Dataset) -> None:
        """Reject questions without an answer unless they are scored as in SQuAD 2.0.

        Raises:
            SecateurError: naming the first.
        """
        if self.version_2_with_negative:
            return
        counts = pc.list_value_length(pc.struct_field(tokens.data.column("answers"), "text")).to_numpy()
        if len(unanswered := np.flatnonzero(counts == 0)):
            raise no_answer(f"question {tokens[int(unanswered[0])]['id']}")

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Sliding windows over the documents."""
        return QuestionWindows(tokens, template_of(tokenizer, lengths), lengths)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Start and end logits (B, L), and the mean of the two cross-entropies."""
        return model(**model_inputs(batch, "start_positions", "end_positions"))

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """Start and end distributions over the real tokens of each window."""
        return span_distributions(outputs, batch)

    def evaluator(self, examples: Examples) -> Evaluator:
        """Decodes spans batch by batch, and merges the windows of a question at the end."""
        assert isinstance(examples, QuestionWindows)
        return SpanEvaluator(self, examples)


def span_distributions(outputs: ModelOutput, batch: Batch) -> list[Distilled]:
    """The distributions of the answer's start and end over the real tokens of each window, (B, L) each."""
    mask = batch["attention_mask"].bool()
    return [Distilled(logits=outputs[name], mask=mask) for name in ("start_logits", "end_logits")]


class SpanEvaluator(Evaluator):
    """EM and F1 over one pass, as computed by the official scorers."""

    def __init__(self, task: QuestionAnswering, examples: QuestionWindows) -> None:
        self.task = task
        self.examples = examples
        self.items: list[int] = []
        self.document_starts: list[int] = []
        self.spans: list[Spans] = []

    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Keep the best spans of each window, not its logits."""
        self.items += batch["items"].tolist()
        self.document_starts += batch["document_start"].tolist()
        self.spans.append(
            best_spans(
                outputs["start_logits"].float().cpu(),
                outputs["end_logits"].float().cpu(),
                batch["document_mask"].cpu(),
                n_best_size=self.task.n_best_size,
                max_answer_length=self.task.max_answer_length,
                cls_position=batch["cls_position"],
            )
        )

    def scores(self) -> dict[str, float]:
        """Scores of SQuAD 1.1, or of 2.0 with its best thresholds."""
        golds = dict(zip(self.examples.rows["id"], (row["text"] for row in self.examples.rows["answers"]), strict=True))
        found = self._answers
        predictions = {answer.id: answer.prediction for answer in found}
        if not self.task.version_2_with_negative:
            return squad_v1_scores(predictions, golds)
        return squad_v2_scores(
            predictions,
            golds,
            no_answer_scores={answer.id: answer.null_score_diff for answer in found},
            best_answers={answer.id: answer.best_answer for answer in found},
        )

    def predictions(self) -> dict[str, str]:
        """Question id to answer, as the official scorers read it."""
        return {answer.id: answer.prediction for answer in self._answers}

    @cached_property
    def _answers(self) -> list[QuestionAnswer]:
        rows, examples = self.examples.rows, self.examples
        questions = [
            Question(id=id_, context=context, offsets=examples.offsets[row].reshape(-1, 2))
            for row, (id_, context) in enumerate(zip(rows["id"], rows["context"], strict=True))
        ]
        taken = [examples.windows[item] for item in self.items]
        return answers(
            self.spans,
            Windows(
                example=[window.example for window in taken],
                document_start=self.document_starts,
                first_token=[window.first_token for window in taken],
            ),
            questions,
            n_best_size=self.task.n_best_size,
            version_2_with_negative=self.task.version_2_with_negative,
            null_score_diff_threshold=self.task.null_score_diff_threshold,
        )
