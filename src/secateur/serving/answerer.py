"""The answerer: takes a question and documents, and returns answers with their positions.

A decomposed model reads documents as states that its lower layers computed earlier, from a :class:`DocumentStore`; an
ordinary model reads the documents again for every question, through the same class.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.trained_lengths import lengths_of
from secateur.errors import SecateurError, check_at_least_one
from secateur.serving.document_store import DocumentStore
from secateur.serving.documents import Document
from secateur.serving.encoding import Encoder, batched, room_of
from secateur.serving.heap import trim_heap
from secateur.serving.loading import check_answers
from secateur.serving.readers import PackedReader, Readable, Reader, SegmentedReader
from secateur.structure.decomposition import SEGMENTED, layout_of
from secateur.tasks.spans import Question, QuestionAnswer, Spans, Windows, answers, best_spans

LONG_QUESTIONS = ("error", "cut")
_DOCUMENTS_AT_A_TIME = 64
_SPANS = 20  # minimum number of candidate spans per window

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, order=True)
class Answer:
    """An answer and its position.

    Attributes:
        score: the sum of the start and end logits, minus that of no answer. Scores are comparable between documents;
            below 0, the model considers it more likely that the document contains no answer.
        text: the answer, verbatim from the document.
        document_id: the document's name.
        start, end: character positions in the document; the end is exclusive.
    """

    score: float
    text: str
    document_id: str
    start: int
    end: int


class Answerer:
    """Answers questions on documents with an extractive question-answering model.

    Args:
        model: a question-answering model in evaluation mode, on the device to compute on.
        tokenizer: the model's tokenizer.
        store: documents' states computed by this model; only for decomposed models.
        max_seq_length, doc_stride: in tokens; None: as in the model's training, or 384 and 128 if its config does not
            say. With a store, its values apply.
        max_question_length: for an ordinary model, likewise, or 64; a decomposed one has a question slot of fixed size.
        long_questions: whether a question that does not fit is refused ("error"), or cut at its end with a warning
            ("cut").
        max_answer_length: in tokens.
        batch_size: windows per forward pass.

    Raises:
        SecateurError: if the model is not for extractive question answering, or a setting does not suit it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        store: DocumentStore | None = None,
        max_seq_length: int | None = None,
        doc_stride: int | None = None,
        max_question_length: int | None = None,
        long_questions: str = "error",
        max_answer_length: int = 30,
        batch_size: int = 32,
    ) -> None:
        check_at_least_one(batch_size=batch_size, max_answer_length=max_answer_length)
        if long_questions not in LONG_QUESTIONS:
            raise SecateurError(f"long_questions={long_questions}: must be one of {', '.join(LONG_QUESTIONS)}")
        check_answers(model)
        self.tokenizer, self.store = tokenizer, store
        self.long_questions, self.max_answer_length, self.batch_size = long_questions, max_answer_length, batch_size
        windows = {"max_seq_length": max_seq_length, "doc_stride": doc_stride}
        lengths = lengths_of(model.config, **windows, max_question_length=max_question_length)
        self.reader = _reader(model, tokenizer, store=store, lengths=lengths, batch_size=batch_size)
        if store is not None:
            for name, asked in windows.items():
                if asked is not None:
                    log.warning("%s=%s: has no effect with a store, which is already split into windows", name, asked)

    def answer(
        self, question: str, documents: Iterable[str | Document] | None = None, *, count: int = 5
    ) -> list[Answer]:
        """The best answers to a question, best first; answers from the same document have different texts.

        Args:
            question: the question, as text.
            documents: names of documents in the store, or documents; None: all documents in the store.
            count: the maximum number of answers.

        Raises:
            SecateurError: if the question is empty or too long, a document is empty or not in the store, or there is
                no store.
        """
        check_at_least_one(count=count)
        if isinstance(documents, str):
            raise SecateurError(f"documents={documents!r}: is a single name; give a list of names, or of documents")
        question_ids = self._question(question)
        best: list[Answer] = []
        for number, batch in enumerate(batched(self._documents(documents), _DOCUMENTS_AT_A_TIME)):
            ready = self.reader.ready(batch, question_size=len(question_ids))
            found = self._answers(question_ids, ready, count=count)
            best = heapq.nlargest(count, [*best, *found])
            if number:  # few documents leave few holes, and should be answered fast
                trim_heap()
        return best

    def _question(self, question: str) -> np.ndarray:
        ids = np.asarray(self.tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"], dtype=np.int64)
        if not len(ids):
            raise SecateurError(f"question={question!r}: is empty; ask something")
        longest = self.reader.longest_question
        if len(ids) > longest:
            said = f"question={question!r}: has {len(ids)} tokens, more than the {longest} that there is room for"
            if self.long_questions == "error":
                raise SecateurError(f"{said}; shorten it, or allow it to be cut (long_questions=cut, --cut-questions)")
            log.warning("%s; it is cut", said)
        return ids[:longest]

    def _documents(self, documents: Iterable[str | Document] | None) -> Iterable[Document]:
        if documents is not None:
            return (self._stored(each) if isinstance(each, str) else each for each in documents)
        return self._opened("documents").documents()

    def _stored(self, id_: str) -> Document:
        return self._opened(f"document={id_}").document(id_)

    def _opened(self, asked: str) -> DocumentStore:
        if self.store is None:
            raise SecateurError(f"{asked}: there is no store to read from; give a store, or the documents")
        return self.store

    def _answers(self, question_ids: np.ndarray, documents: Sequence[Readable], *, count: int) -> list[Answer]:
        """The best answers in each document."""
        places = [(row, number) for row, each in enumerate(documents) for number in range(len(each.windows))]
        places.sort(key=lambda place: -len(documents[place[0]].contents[place[1]]))
        spans: list[Spans] = []
        starts: list[int] = []
        for batch in batched(places, self.batch_size):
            with torch.inference_mode():
                read = self.reader.read(question_ids, [documents[row].contents[number] for row, number in batch])
            starts += read.document_start
            found = best_spans(
                read.start,
                read.end,
                read.document_mask,
                n_best_size=max(count, _SPANS),  # some of which may be only white space, and thus not answers
                max_answer_length=self.max_answer_length,
                cls_position=read.cls_position,
            )
            spans.append(found)
        windows = Windows(
            example=[row for row, _ in places],
            document_start=starts,
            first_token=[documents[row].windows[number].first_token for row, number in places],
        )
        questions = [
            Question(id=each.document.id, context=each.document.text, offsets=each.offsets) for each in documents
        ]
        merged = answers(spans, windows, questions, n_best_size=count, version_2_with_negative=False)
        return [answer for of_document in merged for answer in _placed(of_document)]


def _reader(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    store: DocumentStore | None,
    lengths: Lengths,
    batch_size: int,
) -> Reader:
    """The reader for this model; with a store, it uses the settings with which the states were computed."""
    if layout_of(model.config) != SEGMENTED:
        if store is not None:
            raise SecateurError(
                f"{store.folder}: a {type(model).__name__} cannot use stored states; give the documents instead"
            )
        return PackedReader(model, tokenizer, lengths=lengths)
    if store is None:
        room, doc_stride = room_of(model, tokenizer, max_seq_length=lengths.max_seq_length), lengths.doc_stride
    else:
        room, doc_stride = store.header.room, store.header.doc_stride
    encoder = Encoder(model, tokenizer, room=room, doc_stride=doc_stride, batch_size=batch_size)
    if store is not None:
        store.check(encoder.header(dtype=store.header.dtype))
    return SegmentedReader(encoder, store)


def _placed(found: QuestionAnswer) -> Iterable[Answer]:
    null_score = found.null_score_diff + found.n_best[0].score if found.n_best else 0.0
    for each in found.n_best:
        assert each.char_start is not None
        place = {"start": each.char_start, "end": each.char_start + len(each.text)}
        yield Answer(score=each.score - null_score, text=each.text, document_id=found.id, **place)
