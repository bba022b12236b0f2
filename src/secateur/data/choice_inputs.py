"""Multiple-choice inputs: articles and statements are tokenised separately, then truncated and laid out per batch.

An option's statement is the question with the option filled into its blank, or appended. Shapes: B questions in a
batch, C options of the question that has most, L tokens of the longest input.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from secateur.data.examples import Batch, Examples, Lengths, tokenized
from secateur.data.packing import Template
from secateur.data.slots import check_documents
from secateur.data.windows import ragged


def tokenize_choices(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Add token columns to rows of :mod:`secateur.data.choices`.

    Returns:
        The rows with article_ids, statement_ids (of all options, concatenated) and statement_sizes (tokens of each).
    """
    return tokenized(rows, _tokenize, tokenizer=tokenizer)


class ChoiceInputs(Examples):
    """One input for each option of a question; an item is a row index, the collator truncates and lays out.

    A statement longer than ``max_question_length`` keeps its last tokens, because that is where options differ.
    """

    def __init__(self, tokens: Dataset, template: Template, lengths: Lengths) -> None:
        self.rows = tokens
        self.template = template
        self.articles = ragged(tokens, "article_ids")
        self.statements = ragged(tokens, "statement_ids")
        self.statement_sizes = ragged(tokens, "statement_sizes")
        self.labels = torch.from_numpy(tokens.with_format("numpy")["label"][:])
        self.max_lengths = lengths
        check_documents(template, self.articles.sizes, tokens["id"])
        longest = np.array([self.statement_sizes[row].max() for row in range(len(tokens))])
        self.questions_cut = int((longest > lengths.max_question_length).sum())
        longest = np.minimum(longest, lengths.max_question_length)
        rooms = template.document_rooms(longest, lengths)
        self.lengths = template.added() + longest + np.minimum(self.articles.sizes, rooms)

    def __len__(self) -> int:
        return len(self.lengths)

    def collate(self, items: list[int]) -> Batch:
        """Inputs (B, C, L), labels (B,) and the row indices, as items (B,).

        ``option_mask``, bool (B, C), is false where a question has fewer options than another in the batch: there the
        input consists of special tokens only.
        """
        counts = torch.tensor([len(self.statement_sizes[item]) for item in items])
        most = int(counts.max())
        pairs = [pair for item in items for pair in self._pairs(item, most)]
        laid_out = self.template.lay_out([statement for statement, _ in pairs], [article for _, article in pairs])
        return {
            **{
                name: values.unflatten(0, (len(items), most)) if isinstance(values, torch.Tensor) else values
                for name, values in laid_out.items()
            },
            "option_mask": torch.arange(most) < counts[:, None],
            "labels": self.labels[items],
            "items": torch.tensor(items),
        }

    def _pairs(self, item: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Statement and article of each option of a row, padded with empty pairs up to ``count``."""
        article, sizes = self.articles[item], self.statement_sizes[item]
        whole = np.split(self.statements[item], sizes.cumsum()[:-1])
        statements = [statement[-self.max_lengths.max_question_length :] for statement in whole]
        rooms = self.template.document_rooms(np.array([len(each) for each in statements]), self.max_lengths)
        pairs = [(statement, article[:room]) for statement, room in zip(statements, rooms, strict=True)]
        return pairs + [(article[:0], article[:0])] * (count - len(sizes))


def statement_of(question: str, option: str) -> str:
    """The question with the option filled into its blank (``_``), or appended if it has no blank."""
    filled, blanks = re.subn("_+", lambda _: option, question)
    return filled if blanks else f"{question} {option}"


def _tokenize(rows: dict[str, list[Any]], *, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[Any]]:
    # An article usually has several questions: each distinct article is tokenised once.
    articles = list(dict.fromkeys(rows["article"]))
    encoded = tokenizer(articles, add_special_tokens=False, verbose=False)["input_ids"]
    ids_of = {article: np.asarray(ids, dtype=np.int32) for article, ids in zip(articles, encoded, strict=True)}
    texts = [
        statement_of(question, option)
        for question, options in zip(rows["question"], rows["options"], strict=True)
        for option in options
    ]
    ids = iter(tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"])
    statements = [[next(ids) for _ in options] for options in rows["options"]]
    return {
        "article_ids": [ids_of[article] for article in rows["article"]],
        "statement_ids": [np.concatenate(each).astype(np.int32) for each in statements],
        "statement_sizes": [np.array([len(ids) for ids in each], dtype=np.int32) for each in statements],
    }
