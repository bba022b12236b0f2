"""Inputs for masked language models: full, drawn from seed, epoch and item only, with correct next-sentence labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, load_from_disk
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Lengths
from secateur.data.masked_inputs import MaskedPairs, MaskedTexts, cut_evenly, runs
from secateur.data.masking import IGNORED, Masking
from secateur.data.segments import Segments, tokenize_documents, write_documents
from secateur.data.task_data import TaskData
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError

MASKING = Masking(probability=0.15, unit="token", mask_share=1.0, random_share=0.0)
LENGTHS = Lengths(max_seq_length=32)
# No document shares a word with another, so that a text tells where it is from.
LETTERS = "abcdefghijkl"


@pytest.fixture(scope="module")
def bert() -> PreTrainedTokenizerBase:
    """It knows all letters, alone and in words."""
    return train_wordpiece([" ".join(LETTERS), "the fox and the dog ran over 0123456789"] * 2, vocab_size=120)


def _rows(documents: list[list[str]]) -> Dataset:
    names = [f"d{number}" for number in range(len(documents))]
    return Dataset.from_dict({"id": names, "title": names, "text": ["\n".join(lines) for lines in documents]})


def _documents() -> list[list[str]]:
    """Twelve documents of five to eight segments of three to nine words of one letter each."""
    rng = np.random.default_rng(0)
    return [
        [" ".join([letter] * int(rng.integers(3, 10))) for _ in range(int(rng.integers(5, 9)))] for letter in LETTERS
    ]


@pytest.fixture(scope="module")
def segments(bert) -> Segments:
    return Segments(tokenize_documents(_rows(_documents()), bert))


@pytest.fixture(scope="module")
def pairs(segments, bert) -> MaskedPairs:
    return MaskedPairs(segments, bert, LENGTHS, MASKING)


@pytest.fixture(scope="module")
def texts(segments, bert) -> MaskedTexts:
    return MaskedTexts(segments, bert, LENGTHS, MASKING)


def _restored(batch, row: int) -> list[int]:
    """The tokens of an input before they were hidden."""
    labels, ids = batch["labels"][row], batch["input_ids"][row]
    return torch.where(labels == IGNORED, ids, labels)[batch["attention_mask"][row].bool()].tolist()


def test_every_token_of_every_document_is_in_one_text(texts, segments, bert):
    found = {name: [] for name in segments.names[:]}
    for item in range(len(texts)):
        found[texts.document(item)] += _restored(texts.collate([item]), 0)[1:-1]
    for row, name in enumerate(segments.names[:]):
        assert found[name] == segments.tokens(row).tolist()
    last = np.append(texts.rows[1:] != texts.rows[:-1], True)
    assert (texts.lengths[~last] == 32).all()
    assert (texts.lengths <= 32).all()


def test_labels_stand_where_tokens_are_hidden_and_nowhere_else(pairs, bert):
    batch = pairs.collate(list(range(len(pairs))))
    hidden = batch["labels"] != IGNORED
    assert (batch["input_ids"][hidden] == bert.mask_token_id).all()
    assert (batch["input_ids"] == bert.mask_token_id).sum() == hidden.sum()
    assert hidden.any(1).all()
    assert not hidden[~batch["attention_mask"].bool()].any()
    sizes = batch["attention_mask"].sum(1) - 3
    assert (hidden.sum(1) - 0.15 * sizes).abs().max() <= 1


def test_pairs_are_of_one_document_or_of_two_as_the_label_says(pairs, bert):
    """One half each; the first text is the item's document's, the parting [SEP] stands between the types."""
    others = []
    for epoch in range(20):
        batch = pairs.collate_in_training(list(range(len(pairs))), seed=1, epoch=epoch)
        for row, other in enumerate(batch["next_sentence_label"].tolist()):
            ids, types = _restored(batch, row), batch["token_type_ids"][row].tolist()
            middle = ids.index(bert.sep_token_id)
            assert types[middle : middle + 2] == [0, 1]
            one, two = (set(bert.decode(part).split()) for part in (ids[1:middle], ids[middle + 1 : -1]))
            assert one == {LETTERS[int(pairs.document(row)[1:])]}
            assert (one != two) == bool(other)
            assert len(ids) <= pairs.lengths[row] <= 32
            others.append(other)
    assert np.mean(others) == pytest.approx(0.5, abs=0.04)


def test_a_true_second_text_goes_on_where_the_first_ends(bert):
    """What does not fit is cut at the outer ends."""
    words = [["the", "the", "fox"], ["dog", "the", "the"], ["over"] * 9]
    rows = _rows([[" ".join(line) for line in words]] * 2)
    whole = " ".join(word for line in words for word in line)
    pairs = MaskedPairs(Segments(tokenize_documents(rows, bert)), bert, Lengths(max_seq_length=18), MASKING)
    true = 0
    for epoch in range(30):
        batch = pairs.collate_in_training([0], seed=0, epoch=epoch)
        if not batch["next_sentence_label"]:
            one, two, _ = bert.decode(_restored(batch, 0)).split("[SEP]")
            assert " ".join([*one.split()[1:], *two.split()]) in whole
            assert one.split()[-1] != "dog"  # paragraphs that are short enough stay whole
            true += 1
    assert true


def test_draws_follow_from_seed_epoch_and_item_alone(pairs):
    alone = pairs.collate_in_training([3], seed=1, epoch=2)
    beside = pairs.collate_in_training([5, 3], seed=1, epoch=2)
    size = alone["input_ids"].shape[1]
    assert beside["input_ids"][1, :size].equal(alone["input_ids"][0])
    assert beside["labels"][1, :size].equal(alone["labels"][0])
    everything = list(range(len(pairs)))
    for other in ({"seed": 1, "epoch": 3}, {"seed": 2, "epoch": 2}):
        one = pairs.collate_in_training(everything, seed=1, epoch=2)["next_sentence_label"]
        assert not one.equal(pairs.collate_in_training(everything, **other)["next_sentence_label"])


def test_scores_are_taken_on_draws_that_never_change_and_training_s_change_every_epoch(pairs):
    data = TaskData({"train": pairs, "val": pairs}, eval_batch_size=8)
    first, again = (list(data.eval_loader("val")) for _ in range(2))
    assert all(one["labels"].equal(other["labels"]) for one, other in zip(first, again, strict=True))
    loader = data.train_loader(batch_size=8, seed=1)
    hidden = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        labels = {int(item): row for batch in loader for item, row in zip(batch["items"], batch["labels"], strict=True)}
        hidden.append([labels[item].tolist() for item in range(len(pairs))])
    assert hidden[0] == hidden[2] != hidden[1]


def test_phases_read_in_the_same_order_and_hide_other_tokens(pairs):
    """The order is the run's, what is hidden is drawn for each phase."""
    data = TaskData({"train": pairs}, eval_batch_size=8)
    one, other = (list(data.train_loader(batch_size=8, seed=1, draws=draws)) for draws in (5, 6))
    assert all(mine["items"].equal(theirs["items"]) for mine, theirs in zip(one, other, strict=True))
    assert not all(mine["labels"].equal(theirs["labels"]) for mine, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4, 4, 4, 4], [(0, 3, 12), (2, 4, 8)]),
        ([30, 30, 30], [(0, 2, 60), (1, 3, 60)]),
        ([1, 1], [(0, 2, 2)]),
        ([5, 5, 1], [(0, 2, 10), (1, 3, 6)]),
        ([5], []),
        ([], []),
    ],
)
def test_runs_fill_the_room_and_leave_no_segment_alone(sizes, expected):
    assert list(runs(np.array(sizes, dtype=np.int32), room=10)) == expected


def test_long_segments_are_cut_evenly():
    assert cut_evenly(np.array([9, 2, 10, 21], dtype=np.int32), longest=10).tolist() == [9, 2, 10, 7, 7, 7]
    assert cut_evenly(np.array([7], dtype=np.int32), longest=3).tolist() == [3, 2, 2]
    assert cut_evenly(np.array([], dtype=np.int32), longest=3).tolist() == []


def test_of_paragraphs_longer_than_an_input_nearly_everything_is_read(bert):
    """Not only what stands around the places where one ends and the next begins."""
    words = [letter * 2 for letter in LETTERS]
    documents = [[" ".join(words * 4), " ".join(words[::-1] * 4)] for _ in range(2)]
    segments = Segments(tokenize_documents(_rows(documents), bert))
    pairs = MaskedPairs(segments, bert, Lengths(max_seq_length=35), MASKING)
    read = sum(int(size) for row, size in zip(pairs.rows, pairs.lengths - 3, strict=True) if row == 0)
    assert read > 0.8 * len(segments.tokens(0))
    assert len(
        MaskedPairs(Segments(tokenize_documents(_rows([[" ".join(words * 4)]] * 2), bert)), bert, LENGTHS, MASKING)
    )


@pytest.mark.parametrize(("kind", "length"), [(MaskedPairs, 4), (MaskedTexts, 2)])
def test_inputs_without_room_for_text_are_refused(segments, bert, kind, length):
    with pytest.raises(SecateurError, match=rf"^dataset\.max_seq_length={length}: leaves no room for text next to the"):
        kind(segments, bert, Lengths(max_seq_length=length), MASKING)


def test_text_in_which_nothing_follows_is_refused(bert):
    single = Segments(tokenize_documents(_rows([["the fox"], ["the dog"]]), bert))
    with pytest.raises(SecateurError, match=r"^dataset\.task\.next_sentence=true: none of the 2 documents [^\n]*$"):
        MaskedPairs(single, bert, LENGTHS, MASKING)
    assert len(MaskedTexts(single, bert, LENGTHS, MASKING)) == 2
    alone = Segments(tokenize_documents(_rows([["the fox", "the dog"]]), bert))
    with pytest.raises(SecateurError, match=r"^dataset\.task\.next_sentence=true: a split has a single document, "):
        MaskedPairs(alone, bert, LENGTHS, MASKING)
    empty = Segments(tokenize_documents(_rows([[""]]), bert))
    with pytest.raises(SecateurError, match=r"^dataset: none of the 1 documents of a split contains any text; "):
        MaskedTexts(empty, bert, LENGTHS, MASKING)


def test_byte_level_segments_begin_with_a_word(roberta):
    """Else the first word of a segment would go on with the last one of the segment before."""
    segments = Segments(tokenize_documents(_rows([["the dog", "the dog"]]), roberta))
    assert roberta.convert_ids_to_tokens(segments.tokens(0).tolist()) == ["Ġthe", "Ġdog"] * 2
    words = Masking(probability=0.5, unit="whole_word", mask_share=1.0, random_share=0.0)
    texts = MaskedTexts(segments, roberta, LENGTHS, words)
    assert "token_type_ids" not in texts.collate([0])


def test_tokens_are_read_where_they_lie_on_disk(bert, tmp_path: Path):
    """Also over many chunks of the file; nothing is left beside it."""
    documents = [[f"the fox {number}", "the dog " * (number % 3 + 1)] for number in range(2500)]
    rows = _rows(documents)
    write_documents(rows, bert, tmp_path / "tokens")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]
    stored = load_from_disk(tmp_path / "tokens")
    segments, memory = Segments(stored), Segments(tokenize_documents(rows, bert))
    assert len(stored.data.column("ids").chunks) > 1
    for row in (0, 999, 1000, 1001, 2499):
        assert segments.tokens(row).tolist() == memory.tokens(row).tolist()
    assert not segments.tokens(1500).flags.owndata
