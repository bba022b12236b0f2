"""Packing the token ids of question and document gives what the tokenizer gives for the pair."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, PreTrainedTokenizerBase, RobertaTokenizer

from secateur.data.packing import Template, pack

PAIRS = (
    ("Who wrote the notes?", "Ada Lovelace wrote the notes in London, in 1843."),
    ("When?", "In 1912."),
    ("What does the lazy dog do?", "The quick brown fox jumps over the lazy dog, and the dog sleeps in the café."),
)


@pytest.fixture(params=["bert", "roberta", "xlnet"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return request.getfixturevalue(request.param)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> np.ndarray:
    return np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int32)


def _packed(tokenizer: PreTrainedTokenizerBase, *pairs: tuple[str, str]) -> dict[str, torch.Tensor]:
    questions, documents = zip(*pairs, strict=True)
    return pack(
        [_ids(tokenizer, question) for question in questions],
        [_ids(tokenizer, document) for document in documents],
        Template.of(tokenizer),
    )


def test_a_batch_equals_the_tokenizers_own(tokenizer):
    """Ids, padding, attention mask, and token types where the model takes them."""
    questions, documents = (list(texts) for texts in zip(*PAIRS, strict=True))
    expected = tokenizer(questions, documents, padding=True, return_tensors="pt")
    packed = _packed(tokenizer, *PAIRS)
    assert set(packed) == {*expected, "document_mask", "cls_position"}
    assert set(packed["input_ids"][:, packed["cls_position"]].tolist()) == {tokenizer.cls_token_id}
    for name, tensor in expected.items():
        assert packed[name].dtype == tensor.dtype
        # XLNet's padding has a token type, too, which nothing attends to.
        real = expected["attention_mask"] if name == "token_type_ids" else torch.ones_like(tensor)
        assert torch.equal(packed[name] * real, tensor * real)


def test_the_document_mask_covers_the_documents_own_tokens(tokenizer):
    packed = _packed(tokenizer, *PAIRS)
    template = Template.of(tokenizer)
    for row, (question, document) in enumerate(PAIRS):
        ids = _ids(tokenizer, document)
        assert packed["input_ids"][row][packed["document_mask"][row]].tolist() == ids.tolist()
        start = len(template.prefix) + len(_ids(tokenizer, question)) + len(template.middle)
        if template.cls_type is not None:  # padded at its start
            start += int((packed["attention_mask"][row] == 0).sum())
        assert packed["document_mask"][row].nonzero()[[0, -1], 0].tolist() == [start, start + len(ids) - 1]


def test_a_document_without_tokens_is_an_empty_segment(tokenizer):
    packed = _packed(tokenizer, ("Who?", ""), ("Who?", "Ada."))
    template = Template.of(tokenizer)
    ids = [*template.prefix, *_ids(tokenizer, "Who?"), *template.middle, *template.suffix]
    assert packed["input_ids"][0][packed["attention_mask"][0].bool()].tolist() == ids
    assert packed["attention_mask"].sum(1).tolist() == [len(ids), len(ids) + len(_ids(tokenizer, "Ada."))]
    assert not packed["document_mask"][0].any()


def test_templates_of_both_families(bert, roberta):
    cls, sep = bert.cls_token_id, bert.sep_token_id
    assert Template.of(bert) == Template(
        prefix=(cls,), middle=(sep,), suffix=(sep,), second_type=1, cls_type=None, pad=bert.pad_token_id, has_types=True
    )
    cls, sep = roberta.cls_token_id, roberta.sep_token_id
    template = Template.of(roberta)
    assert template == Template(
        prefix=(cls,), middle=(sep, sep), suffix=(sep,), second_type=0, pad=roberta.pad_token_id, has_types=False
    )
    assert template.added() == roberta.num_special_tokens_to_add(pair=True) == 4


def test_a_wordpiece_tokenizer_may_go_without_types(bert):
    """As DistilBERT's does."""
    typeless = BertTokenizer(vocab=bert.get_vocab(), model_input_names=["input_ids", "attention_mask"])
    assert Template.of(typeless) == dataclasses.replace(Template.of(bert), second_type=0, has_types=False)


def test_the_template_does_not_need_texts_of_one_token(roberta):
    """A tokenizer that puts a space before each text may cut even a single letter in two."""
    spaced = RobertaTokenizer(vocab=roberta.get_vocab(), merges=[], add_prefix_space=True)
    assert len(_ids(spaced, "a")) == 2
    assert Template.of(spaced) == Template.of(roberta)
