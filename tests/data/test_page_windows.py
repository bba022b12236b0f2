"""Pages as pieces with markers, cut into windows, each with its target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, load_from_disk
from transformers import PreTrainedTokenizerBase, RobertaTokenizerFast

from secateur.data import page_windows
from secateur.data.examples import Lengths
from secateur.data.page_formats import MARKERS, MOST_POSITIONS, NO_SPAN, marker
from secateur.data.page_windows import MARKED, PageWindows, target, tokenize_pages, write_page_tokens
from secateur.data.pages import load_pages
from secateur.data.slots import template_of
from secateur.data.sources import Source
from secateur.data.vocabulary import train_wordpiece
from secateur.errors import SecateurError
from secateur.structure.decomposition import SEGMENTED
from secateur.structure.modeling_secateur import ANSWER_TYPES
from tests.pages import annotation, page, span, write


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six pages: two with a short answer, one with a long one, one that says yes, two without."""
    folder = tmp_path_factory.mktemp("pages")
    file = str(write(folder / "pages.jsonl", map(page, range(6))))
    source = Source(name="nq", train_files=[file], test_files=[file])
    return load_pages(source, folder / "rows", processes=1)["train"]


@pytest.fixture(scope="module")
def tokenizer(rows: Dataset) -> PreTrainedTokenizerBase:
    texts = [text for of_page in rows["texts"] for text in of_page]
    tokenizer = train_wordpiece([*texts, *rows["question"]], vocab_size=60)
    tokenizer.add_tokens(list(MARKERS), special_tokens=True)
    return tokenizer


@pytest.fixture(scope="module")
def tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return tokenize_pages(rows, tokenizer, tmp_path_factory.mktemp("tokens"), processes=1)


def windows(
    tokens: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    layout: str = "packed",
    max_seq_length: int = 40,
    doc_stride: int = 20,
    **settings: Any,
) -> PageWindows:
    lengths = Lengths(max_seq_length=max_seq_length, max_question_length=6, doc_stride=doc_stride, layout=layout)
    return PageWindows(tokens, template_of(tokenizer, lengths), lengths, **settings)


def test_markers_stand_before_what_they_mark(tokens: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
    words = page(0)["document_text"].split(" ")
    ids, owners = tokens[0]["document_ids"], tokens[0]["document_words"]
    marked = [
        (tokenizer.convert_ids_to_tokens(ids[n]), words[owners[n + 1]]) for n, o in enumerate(owners) if o == MARKED
    ]
    assert marked == [("[Paragraph=1]", "This"), ("[Table=1]", "old"), ("[Paragraph=2]", "The")]
    assert tokenizer.decode([i for i, o in zip(ids, owners, strict=True) if o == words.index("blue")]) == "blue"


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("P", "Paragraph"), ("Table", "Table"), ("Ul", "List"), ("Ol", "List"), ("Dl", "List"), ("Tr", "Other")],
)
def test_what_a_candidate_is_is_told_by_its_tag(tag: str, kind: str, tmp_path: Path) -> None:
    text = f"<{tag}> one </{tag}> <{tag}> two </{tag}>"
    candidates = [{**span(*where), "top_level": True} for where in ((0, 3), (3, 6))]
    bare = wordless(0, document_text=text, long_answer_candidates=candidates, annotations=[annotation()])
    assert loaded(tmp_path, bare)[0]["markers"] == [f"[{kind}=1]", f"[{kind}=2]"]


def test_positions_end_somewhere() -> None:
    assert marker("Table", MOST_POSITIONS + 9) == marker("Table", MOST_POSITIONS)
    assert len(set(MARKERS)) == 4 * MOST_POSITIONS


def test_pieces_belong_to_their_words_also_where_spaces_are_part_of_them(rows: Dataset, tmp_path: Path) -> None:
    """RoBERTa's pieces begin with the space before a word."""
    tokenizer = letters()
    row = tokenize_pages(rows, tokenizer, tmp_path, processes=1)[0]
    words = page(0)["document_text"].split(" ")
    first = words.index("blue")
    spelt = [i for i, owner in zip(row["document_ids"], row["document_words"], strict=True) if owner == first]
    assert tokenizer.convert_ids_to_tokens(spelt) == ["Ġ", "b", "l", "u", "e"]


def wordless(number: int, **changes: Any) -> dict[str, Any]:
    """A page with a candidate of tags alone before the one with the answer, and another at the end."""
    text = "<P> A door . </P> <Ul> <Li> </Li> </Ul> <P> It is blue . </P> <P> </P>"
    candidates = [{**span(*where), "top_level": True} for where in ((0, 5), (5, 9), (9, 15), (15, 17))]
    found = annotation(candidates[2], candidate=2, short=[(12, 13)])
    return {
        **page(number),
        "document_text": text,
        "long_answer_candidates": candidates,
        "annotations": [found],
        **changes,
    }


def letters() -> RobertaTokenizerFast:
    """RoBERTa's way with spaces, a piece for each letter."""
    characters = {character: number for number, character in enumerate("ĠabcdefghijklmnopqrstuvwxyzATWDI0123456789.")}
    vocabulary = {"<s>": 60, "<pad>": 61, "</s>": 62, "<unk>": 63, **characters}
    tokenizer = RobertaTokenizerFast(vocab=vocabulary, merges=[])
    tokenizer.add_tokens(list(MARKERS), special_tokens=True)
    return tokenizer


def loaded(folder: Path, *pages: dict[str, Any]) -> Dataset:
    file = str(write(folder / "some.jsonl", pages))
    return load_pages(Source(name="nq", train_files=[file], test_files=[file]), folder / "some", processes=1)["train"]


def test_a_candidate_without_words_has_its_marker_alone(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    """Also where the tokenizer makes a piece of the space that is put before a text."""
    rows = loaded(tmp_path, wordless(0))
    for number, each in enumerate((tokenizer, letters())):
        made = tokenize_pages(rows, each, tmp_path / str(number), processes=1)[0]
        kinds = [each.convert_ids_to_tokens(i) for i in made["document_ids"]]
        empty, last = kinds.index("[List=1]"), kinds.index("[Paragraph=3]")
        assert kinds[empty + 1] == "[Paragraph=2]"
        assert last == len(kinds) - 1
        kind, first, end = made["answer"]
        assert ANSWER_TYPES[kind] == "short"
        assert set(made["document_words"][first : end + 1]) == {12}


@pytest.mark.parametrize("layout", ["packed", SEGMENTED])
def test_a_page_without_candidates_has_no_window(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, layout: str
) -> None:
    bare = {"long_answer_candidates": [], "annotations": [annotation()]}
    tokens = tokenize_pages(loaded(tmp_path, wordless(0), wordless(1, **bare)), tokenizer, tmp_path / "t", processes=1)
    examples = windows(tokens, tokenizer, layout=layout)
    assert set(examples.pages.tolist()) == {0}
    with pytest.raises(SecateurError, match=r"^dataset: no page has a candidate at the top level"):
        windows(tokens.select([1]), tokenizer, layout=layout)


def test_what_is_to_be_found(rows: Dataset, tokens: Dataset) -> None:
    assert [target(row)[0] for row in rows] == ["short", "short", "long", "yes", "none", "none"]
    for row, made in zip(rows, tokens, strict=True):
        kind, (first, end) = target(row)
        found, begin, last = made["answer"]
        assert ANSWER_TYPES[found] == kind
        if kind != "none":
            owners = made["document_words"][begin : last + 1]
            assert set(owners) == set(rows.with_format(None)["words"][rows["id"].index(row["id"])]) & set(
                range(first, end)
            )


def test_of_several_annotators_one_with_a_short_answer_goes_first() -> None:
    """A short answer of several spans runs from the first to the last of them."""
    row = {
        "long_answers": [-1, -1, 5, 20, 5, 20],
        "short_answers": [[], [], [7, 9, 12, 13]],
        "yes_no_answers": ["NONE"] * 3,
    }
    assert target(row) == ("short", (7, 13))
    assert target({**row, "short_answers": [[], [], []]}) == ("long", (5, 20))
    assert target({**row, "long_answers": [-1] * 6}) == ("none", NO_SPAN)


@pytest.mark.parametrize("layout", ["packed", SEGMENTED])
def test_a_window_points_at_its_answer_and_words_alone_may_answer(
    tokens: Dataset, tokenizer: PreTrainedTokenizerBase, layout: str
) -> None:
    examples = windows(tokens, tokenizer, layout=layout)
    batch = examples.collate(list(range(len(examples))))
    assert batch["input_ids"].shape[1] <= 40
    assert examples.has_answer().tolist() == (batch["answer_types"] > 0).tolist()
    assert set(batch["answer_types"].tolist()) == {0, 1, 2, 3}
    for item, kind in enumerate(batch["answer_types"].tolist()):
        start, end = int(batch["start_positions"][item]), int(batch["end_positions"][item])
        number = int(examples.pages[item])
        if kind == 0:
            assert (start, end) == (0, 0)
        elif ANSWER_TYPES[kind] == "short":
            answer = tokenizer.decode(batch["input_ids"][item, start : end + 1])
            assert answer == ("blue", "green", "red")[number % 3]
            assert batch["document_mask"][item, start : end + 1].all()
        ids = batch["input_ids"][item][batch["document_mask"][item]].tolist()
        assert not set(tokenizer.convert_ids_to_tokens(ids)) & {*MARKERS, "[SEP]", "[PAD]"}


def test_the_share_of_windows_without_an_answer_is_always_the_same(
    tokens: Dataset, tokenizer: PreTrainedTokenizerBase
) -> None:
    short = {"max_seq_length": 24, "doc_stride": 4}
    whole = windows(tokens, tokenizer, **short)
    once, again = (windows(tokens, tokenizer, include_unknowns=0.5, **short) for _ in range(2))
    assert once.firsts.tolist() == again.firsts.tolist()
    assert once.has_answer().sum() == whole.has_answer().sum()
    assert once.has_answer().sum() < len(once) < len(whole)
    assert len(once.lengths) == len(once) == len(once.pages)


def test_a_share_that_leaves_nothing_is_refused(tokens: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(SecateurError, match=r"^dataset\.task\.include_unknowns=1e-09: leaves none of \d+ windows"):
        windows(tokens.select([4, 5]), tokenizer, include_unknowns=1e-9)


def test_tokenising_that_was_killed_is_gone_on_with(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is not made again, and the tokens are the same."""
    monkeypatch.setattr(page_windows, "_AT_A_TIME", 2)
    plain, made = page_windows._tokenized, []

    def dying(batch: Any, each: PreTrainedTokenizerBase) -> Any:
        made.append(batch["id"][0])
        if len(made) == 2:
            raise KeyboardInterrupt
        return plain(batch, each)

    monkeypatch.setattr(page_windows, "_tokenized", dying)
    monkeypatch.setattr(page_windows.torch, "get_num_threads", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        write_page_tokens(rows, tokenizer, tmp_path / "train")
    write_page_tokens(rows, tokenizer, tmp_path / "train")
    assert made == ["1000", "1002", "1002", "1004"]
    whole = tokenize_pages(rows, tokenizer, tmp_path / "whole", processes=1)
    assert load_from_disk(tmp_path / "train")[:] == whole[:]


def test_tokens_on_disk_are_made_once(rows: Dataset, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    folder = tmp_path / "rows" / "train"
    write_page_tokens(rows, tokenizer, folder)
    before = (folder / "state.json").stat().st_mtime_ns
    write_page_tokens(rows, tokenizer, folder)
    assert (folder / "state.json").stat().st_mtime_ns == before
    assert [path.name for path in folder.parent.iterdir()] == ["train"]
    assert np.all(load_from_disk(folder)["id"][:] == rows["id"][:])
