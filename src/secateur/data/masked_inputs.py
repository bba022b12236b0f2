"""Inputs for masked language modelling, with or without next-sentence prediction, cut from documents on disk.

In training, masked tokens and sentence pairs are drawn again in every epoch, from the seed, the epoch and the item's
index; evaluation always uses the same draws. An item takes 16 bytes of memory, whatever its length.

Shapes: B inputs in a batch, L tokens of the longest, S segments of a document.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.masking import IGNORED, Masker, Masking
from secateur.data.packing import Template, pack
from secateur.data.segments import Segments
from secateur.data.text_pairs import cut_longest_first
from secateur.errors import SecateurError

# Seed and epoch of the draws used in evaluation: the same in all runs, so that scores are comparable.
_STATIC = (20181011, 0)


class Drawn(NamedTuple):
    """One input: the visible tokens and the labels (:data:`IGNORED` where nothing is predicted) of one or two texts."""

    seen: list[np.ndarray]
    labels: list[np.ndarray]
    is_other: bool


class MaskedTexts(Examples):
    """Documents cut into pieces that fill ``max_seq_length`` tokens; an item is one piece of one document.

    Raises:
        SecateurError: if no document contains any text, or ``max_seq_length`` leaves no room for text.
    """

    is_pair = False

    def __init__(
        self, segments: Segments, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, masking: Masking
    ) -> None:
        self.segments = segments
        self.masker = Masker(masking, tokenizer)
        self.template = Template.of(tokenizer)
        around = {name: (IGNORED,) * len(getattr(self.template, name)) for name in ("prefix", "middle", "suffix")}
        self.label_template = replace(self.template, **around, pad=IGNORED, has_types=False)  # type: ignore[arg-type]
        added = self.template.added(pair=self.is_pair)
        self.room = lengths.max_seq_length - added
        if self.room < 1 + self.is_pair:
            raise SecateurError(
                f"dataset.max_seq_length={lengths.max_seq_length}: leaves no room for text next to the {added} special "
                "tokens; raise it"
            )
        # For each item: its document, and where in it the item begins and ends.
        self.rows, self.firsts, self.stops, sizes = _columns(self._places())
        if len(self.rows) == 0:
            raise SecateurError(self._without_items())
        self.lengths = added + sizes

    def _places(self) -> Iterator[tuple[int, int, int, int]]:
        """Document, first token, last token + 1 and number of tokens of each item."""
        for row in range(len(self.segments)):
            size = len(self.segments.tokens(row))
            for first in range(0, size, self.room):
                stop = min(first + self.room, size)
                yield row, first, stop, stop - first

    def _without_items(self) -> str:
        return f"dataset: none of the {len(self.segments)} documents of a split contains any text; give others"

    def __len__(self) -> int:
        return len(self.lengths)

    def document(self, item: int) -> str:
        """The name of an item's document."""
        return self.segments.names[int(self.rows[item])]

    def collate(self, items: list[int]) -> Batch:
        """Packed inputs (B, L), labels (B, L) and the item indices (B,), with the fixed evaluation draws.

        For pairs also next_sentence_label (B,), 1 where the second text comes from another document.
        """
        return self._laid_out(items, *_STATIC)

    def collate_in_training(self, items: list[int], *, seed: int, epoch: int) -> Batch:
        """The same, with new draws for each seed and epoch."""
        return self._laid_out(items, seed, epoch)

    def _laid_out(self, items: list[int], seed: int, epoch: int) -> Batch:
        drawn = [self._draw(item, np.random.default_rng((seed, epoch, item))) for item in items]
        batch = self._packed([each.seen for each in drawn], self.template)
        batch["labels"] = self._packed([each.labels for each in drawn], self.label_template)["input_ids"]
        if self.is_pair:
            batch["next_sentence_label"] = torch.tensor([int(each.is_other) for each in drawn])
        return {**batch, "items": torch.tensor(items)}

    def _packed(self, texts: list[list[np.ndarray]], template: Template) -> dict[str, torch.Tensor]:
        columns = [list(column) for column in zip(*texts, strict=True)]
        packed = pack(columns[0], columns[1] if self.is_pair else None, template)
        packed.pop("document_mask", None)
        return packed

    def _draw(self, item: int, rng: np.random.Generator) -> Drawn:
        text = self.segments.tokens(self.rows[item])[self.firsts[item] : self.stops[item]]
        seen, labels = self.masker.hide(text, rng)
        return Drawn([seen], [labels], is_other=False)


class MaskedPairs(MaskedTexts):
    """Runs of neighbouring segments, split into two texts between two segments; in half of the draws the second text
    is replaced by text from another document.

    A segment is a paragraph; a paragraph longer than a quarter of an input is divided into several segments of nearly
    equal length, so that little of it is truncated. A run ends with the segment that fills ``max_seq_length`` and has
    at least two segments. What does not fit is truncated at the outer ends of the two texts, the longer one first. Text
    from another document also begins at the start of a segment and is never longer than the text it replaces.

    Raises:
        SecateurError: if no document has two segments, or there is only one document.
    """

    is_pair = True

    def __init__(
        self, segments: Segments, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, masking: Masking
    ) -> None:
        self.with_text = np.array([row for row in range(len(segments)) if len(segments.sizes[row])])
        super().__init__(segments, tokenizer, lengths, masking)
        if len(self.with_text) < 2:
            raise SecateurError(
                "dataset.task.next_sentence=true: a split has a single document, so no text can come from another one; "
                "give more, raise dataset.limit_train and limit_test, or set dataset.task.next_sentence=false"
            )

    def _places(self) -> Iterator[tuple[int, int, int, int]]:
        """Document, first segment, last segment + 1 and maximum number of tokens of each item."""
        for row in self.with_text.tolist():
            for first, stop, size in runs(self._sizes(row), room=self.room):
                yield row, first, stop, min(self.room, size)

    def _without_items(self) -> str:
        return (
            f"dataset.task.next_sentence=true: none of the {len(self.segments)} documents of a split has two "
            "paragraphs; put each paragraph on its own line, and blank lines only between documents, or set "
            "dataset.task.next_sentence=false"
        )

    def _draw(self, item: int, rng: np.random.Generator) -> Drawn:
        row, first, stop = int(self.rows[item]), int(self.firsts[item]), int(self.stops[item])
        middle = int(rng.integers(first + 1, stop))
        one, other = self._between(row, first, middle), self._between(row, middle, stop)
        is_other = bool(rng.random() < 0.5)
        if is_other:
            other = self._elsewhere(row, rng)[: len(other)]
        kept, kept_other = map(int, cut_longest_first(np.array(len(one)), np.array(len(other)), room=self.room))
        text = np.concatenate([one[len(one) - kept :], other[:kept_other]])
        seen, labels = self.masker.hide(text, rng)
        return Drawn([seen[:kept], seen[kept:]], [labels[:kept], labels[kept:]], is_other)

    def _elsewhere(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """Another document's text, from the start of one of its segments to its end."""
        number = int(rng.integers(len(self.with_text) - 1))
        another = int(self.with_text[number + int(self.with_text[number] >= row)])
        count = len(self._sizes(another))
        return self._between(another, int(rng.integers(count)), count)

    def _sizes(self, row: int) -> np.ndarray:
        return cut_evenly(self.segments.sizes[row], longest=max(1, self.room // 4))

    def _between(self, row: int, first: int, stop: int) -> np.ndarray:
        """The tokens of a document's segments ``first`` to ``stop`` - 1."""
        sizes = self._sizes(row)
        ends = sizes.cumsum()
        return self.segments.tokens(row)[ends[first] - sizes[first] : ends[stop - 1]]


def cut_evenly(sizes_S: np.ndarray, *, longest: int) -> np.ndarray:
    """The sizes after dividing each segment (S,) into as few nearly equal parts of at most ``longest`` tokens."""
    parts_S = -(-sizes_S // longest)
    first_S = parts_S.cumsum() - parts_S
    number = np.arange(parts_S.sum()) - np.repeat(first_S, parts_S)
    return np.repeat(sizes_S // parts_S, parts_S) + (number < np.repeat(sizes_S % parts_S, parts_S))


def runs(sizes_S: np.ndarray, *, room: int) -> Iterator[tuple[int, int, int]]:
    """Runs of at least two neighbouring segments that fill ``room`` tokens: first, last + 1, and number of tokens.

    If the last segment would be left alone, it forms a run with the one before it, which then occurs twice; a document
    with a single segment has no run.

    Args:
        sizes_S: tokens of each of a document's segments.
        room: tokens that a run should fill.
    """
    ends, count = sizes_S.cumsum(), len(sizes_S)
    stop = 0 if count > 1 else count
    while stop < count:
        first = min(stop, count - 2)
        before = int(ends[first] - sizes_S[first])
        stop = max(first + 2, min(int(np.searchsorted(ends, before + room)) + 1, count))
        yield first, stop, int(ends[stop - 1]) - before


def _columns(places: Iterable[tuple[int, int, int, int]]) -> list[np.ndarray]:
    """Four columns of 32-bit integers, never held as Python objects all at once."""
    flat = array("i")
    for place in places:
        flat.extend(place)
    return list(np.frombuffer(flat, dtype=np.int32).reshape(-1, 4).T.copy())
