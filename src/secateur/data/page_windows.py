"""Pages with their questions: tokenised with a marker before each paragraph, table and list, and read in windows.

After Alberti, Lee and Collins, "A BERT Baseline for the Natural Questions" (arXiv 1901.08634). A *piece* is a token of
the model's vocabulary, as opposed to the tokens of the page itself. Shapes: B windows in a batch.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.packing import Template
from secateur.data.page_formats import NO_SPAN, NONE, Span
from secateur.data.segments import Lists
from secateur.data.shards import write_shards
from secateur.data.windows import places
from secateur.data.words import leading_mark
from secateur.errors import SecateurError
from secateur.structure.modeling_secateur import ANSWER_TYPES

# document_words: the page token that each piece belongs to, or MARKED; answer: type, first and last piece of the
# target; the other columns are those of secateur.data.pages.
_KEPT = ("id", "candidates", "long_answers", "short_answers", "yes_no_answers")
FEATURES = Features(
    {
        "id": Value("string"),
        **dict.fromkeys(("question_ids", "document_ids", "document_words", "answer"), List(Value("int32"))),
        **dict.fromkeys(("candidates", "long_answers"), List(Value("int32"))),
        "short_answers": List(List(Value("int32"))),
        "yes_no_answers": List(Value("string")),
    }
)
MARKED = -1

# Pages tokenised at a time. Neighbours are often the same page with different questions, which is then tokenised once.
_AT_A_TIME = 100
# Decides which windows without an answer are trained on. Not the run's seed: a teacher's outputs are stored by window.
_SEED = 20190124
_ALL = slice(None)


def tokenize_pages(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, folder: Path, *, processes: int | None = None
) -> Dataset:
    """Tokenise rows of :mod:`secateur.data.pages` to :data:`FEATURES`, as shards in ``folder``, memory-mapped.

    Args:
        processes: as for :func:`secateur.data.shards.write_shards`.
    """
    return write_shards(
        range(0, len(rows), _AT_A_TIME),
        partial(_token_table, rows=rows, tokenizer=tokenizer),
        folder,
        what="tokenizing",
        total=-(-len(rows) // _AT_A_TIME),
        processes=processes,
    )


def write_page_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """The same as one data set in ``folder``; temporarily needs as much disk space again next to it.

    Shards left by an interrupted process are reused.
    """
    shards, whole = folder.with_name(f"{folder.name}.shards"), folder.with_name(f"{folder.name}.whole")
    if not folder.is_dir():
        tokenize_pages(rows, tokenizer, shards).save_to_disk(whole)
        whole.replace(folder)
    shutil.rmtree(shards, ignore_errors=True)


class PageWindows(Examples):
    """Windows over tokenised pages, read through a memory map; an item takes 20 bytes of memory, a page about 100.

    Args:
        tokens: rows of :func:`tokenize_pages`.
        template: how inputs are laid out.
        lengths: how long inputs may be.
        include_unknowns: the share of windows without the answer that are kept, in (0, 1]; always the same ones.

    Raises:
        SecateurError: if no window is left; a page without candidates has none.
    """

    def __init__(self, tokens: Dataset, template: Template, lengths: Lengths, *, include_unknowns: float = 1.0) -> None:
        table = tokens.with_format("arrow")[:]
        self.rows = tokens
        self.template = template
        self.questions, self.documents, self.words, self.candidates = (
            Lists(table[name]) for name in ("question_ids", "document_ids", "document_words", "candidates")
        )
        self.answers = np.stack([*tokens.with_format("numpy")["answer"][:]])
        self.question_sizes = np.minimum(self.questions.sizes, lengths.max_question_length)
        self.questions_cut = int((self.question_sizes < self.questions.sizes).sum())
        rooms = template.document_rooms(self.question_sizes, lengths)
        self.pages, self.firsts, self.sizes = (
            column.astype(np.int32) for column in places(self.documents.sizes, rooms, doc_stride=lengths.doc_stride)
        )
        self._keep(self.sizes > 0)  # a page without candidates has nothing to show
        if not len(self.pages):
            raise SecateurError("dataset: no page has a candidate at the top level, so there is nothing to read")
        if include_unknowns < 1:
            self._down_sample(include_unknowns)
        self.lengths = template.added() + self.question_sizes[self.pages] + self.sizes

    def _down_sample(self, share: float) -> None:
        kept = self.has_answer() | (np.random.RandomState(_SEED).random_sample(len(self.pages)) < share)
        if not kept.any():
            raise SecateurError(
                f"dataset.task.include_unknowns={share}: leaves none of {len(kept)} windows, as no page has an answer; "
                "raise it"
            )
        self._keep(kept)

    def _keep(self, kept: np.ndarray) -> None:
        self.pages, self.firsts, self.sizes = (each[kept] for each in (self.pages, self.firsts, self.sizes))

    def __len__(self) -> int:
        return len(self.lengths)

    def has_answer(self, items: list[int] | slice = _ALL) -> np.ndarray:
        """Whether each window contains its page's complete answer, bool (B,)."""
        type_B, first_B, last_B = self.answers[self.pages[items]].T
        firsts_B = self.firsts[items]
        return (type_B > 0) & (first_B >= firsts_B) & (last_B < firsts_B + self.sizes[items])

    def collate(self, items: list[int]) -> Batch:
        """Inputs, labels start_positions, end_positions and answer_types (B,), document_start (B,) and items (B,).

        ``document_start`` is the position of the first piece of the page; ``document_mask`` excludes markers, since no
        answer begins or ends there.
        """
        pages, firsts, sizes = self.pages[items], self.firsts[items], self.sizes[items]
        question_sizes = self.question_sizes[pages]
        questions = [self.questions[page][:size] for page, size in zip(pages, question_sizes, strict=True)]
        parts = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
        laid_out = self.template.lay_out(
            questions, [self.documents[page][part] for page, part in zip(pages, parts, strict=True)]
        )
        starts = laid_out["document_mask"].int().argmax(-1).numpy()
        for mask, start, page, part in zip(laid_out["document_mask"], starts, pages, parts, strict=True):
            is_word = torch.from_numpy(self.words[page][part] != MARKED)
            mask[start : start + len(is_word)] = is_word
        types, first, last = self.answers[pages].T
        is_inside = self.has_answer(items)
        labels = {
            "start_positions": np.where(is_inside, first - firsts + starts, laid_out["cls_position"]),
            "end_positions": np.where(is_inside, last - firsts + starts, laid_out["cls_position"]),
            "answer_types": np.where(is_inside, types, 0),
        }
        return {
            **laid_out,
            **{name: torch.from_numpy(each.astype(np.int64)) for name, each in labels.items()},
            "document_start": torch.from_numpy(starts),
            "items": torch.tensor(items),
        }


def target(row: Mapping[str, Any]) -> tuple[str, Span]:
    """The target on a page: the type of the answer and its span in page tokens.

    The target is that of the first annotator who gave a short answer or yes/no, else of the first with a long answer.
    Several short answers become one span from the first to the last; for yes/no, and for a long answer without a short
    one, the span is the long answer.
    """
    longs = np.asarray(row["long_answers"]).reshape(-1, 2).tolist()
    fallback: tuple[str, Span] = (ANSWER_TYPES[0], NO_SPAN)
    for long, short, yes_no in zip(map(tuple, longs), row["short_answers"], row["yes_no_answers"], strict=True):
        if long == NO_SPAN:
            continue
        if yes_no != NONE:
            return yes_no.lower(), long
        if len(short):
            return "short", (int(min(short)), int(max(short)))
        if fallback[1] == NO_SPAN:
            fallback = ("long", long)
    return fallback


# --- Tokens ---


def _token_table(first: int, *, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> pa.Table:
    batch = rows[first : first + _AT_A_TIME]
    made = _tokenized(batch, tokenizer)
    columns = {**{name: batch[name] for name in _KEPT}, **made}
    return pa.Table.from_pydict({name: columns[name] for name in FEATURES}, schema=FEATURES.arrow_schema)


def _tokenized(batch: Mapping[str, list[Any]], tokenizer: PreTrainedTokenizerBase) -> dict[str, list[Any]]:
    texts = list(dict.fromkeys(text for of_page in batch["texts"] for text in of_page))
    pieces = dict(zip(texts, _pieces(texts, tokenizer), strict=True)) if texts else {}
    columns: dict[str, list[Any]] = {
        "question_ids": tokenizer(batch["question"], add_special_tokens=False, verbose=False)["input_ids"],
        **{name: [] for name in ("document_ids", "document_words", "answer")},
    }
    for number, (of_page, words) in enumerate(zip(batch["texts"], batch["words"], strict=True)):
        found = [pieces[text] for text in of_page]
        markers = [tokenizer.convert_tokens_to_ids(marker) for marker in batch["markers"][number]]
        ids, document_words = _joined(found, markers, np.asarray(words, dtype=np.int32), of_page)
        columns["document_ids"].append(ids)
        columns["document_words"].append(document_words)
        columns["answer"].append(_answer({name: batch[name][number] for name in _KEPT}, document_words))
    return columns


def _pieces(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids of each text's pieces, and the index of the space-separated word that each piece belongs to."""
    before = " " if leading_mark(tokenizer) == "Ġ" else ""
    # A candidate consisting of tags only has no word to put a space before.
    led = [before + text if text else "" for text in texts]
    encoded = tokenizer(led, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = []
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        sizes = np.array([len(word) + 1 for word in text.split(" ")])
        # The space before a word counts as part of it: some tokenizers make it a separate piece.
        begins = sizes.cumsum() - sizes + len(before) - 1
        ends = np.array([end for _, end in offsets], dtype=np.int64)
        found.append((np.asarray(ids, dtype=np.int32), np.searchsorted(begins, ends - 1, side="right") - 1))
    return found


def _joined(
    found: list[tuple[np.ndarray, np.ndarray]], markers: list[Any], words: np.ndarray, texts: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a page's pieces with the markers between them, and the page token that each belongs to."""
    ids, document_words = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int32)]
    begin = 0
    for (piece_ids, piece_words), marker_id, text in zip(found, markers, texts, strict=True):
        ids += [np.array([marker_id], dtype=np.int32), piece_ids]
        document_words += [np.array([MARKED], dtype=np.int32), words[begin + piece_words]]
        begin += len(text.split(" ")) if text else 0
    return np.concatenate(ids), np.concatenate(document_words)


def _answer(row: Mapping[str, Any], document_words: np.ndarray) -> list[int]:
    """Type, first and last piece of the target; none if it is not in the text that is shown."""
    kind, (first, end) = target(row)
    inside = np.flatnonzero((document_words >= first) & (document_words < end))
    if kind == ANSWER_TYPES[0] or len(inside) == 0:
        return [0, -1, -1]
    return [ANSWER_TYPES.index(kind), int(inside[0]), int(inside[-1])]
