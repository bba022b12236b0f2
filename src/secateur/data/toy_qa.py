"""A synthetic extractive question-answering data set in SQuAD 2.0's schema, small enough to learn in under a minute.

Each passage says in a few sentences who did what to which things, and each question asks for one detail about one of
those things. The other words of the question reveal only which kind of word is the answer (name, number, colour), and
nearly every sentence contains one of that kind; the correct one is close to the thing asked about. A model therefore
has to find the question's thing in the passage *and* look at its neighbours, which takes several layers and heads.
Unanswerable questions ask about a thing that the passage does not mention, or for a detail that it gives only for other
things.

Three properties make this learnable from random weights within a few hundred steps; without the first or the second,
models of this size did no better than guessing. The thing is always the third word of the question, so a model has to
learn only how to match it, not where it is. All sentences have the same length, so neighbours are quickly learnt from
absolute positions. And "Name the ..." asks for a span that ends in the thing itself: this is learnt first, and leads
from the thing to its neighbours, on which the other questions build.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from datasets import Dataset, DatasetDict

from secateur.data.squad import FEATURES
from secateur.data.toy_words import (
    COLOURS,
    DEEDS,
    NUMBERS,
    PEOPLE,
    THINGS,
    check_sizes,
    endless_titles,
    shuffled,
    title_passages,
)
from secateur.errors import SecateurError

QUESTIONS_PER_PASSAGE = 5
FACTS_PER_PASSAGE = 4

_Answers = dict[str, list[Any]]


def toy_qa(*, train: int, test: int, seed: int, unanswerable: float) -> DatasetDict:
    """Generate the data set; the same arguments give the same questions on every machine.

    Args:
        train: number of training questions, at least 1.
        test: number of test questions, at least 1. They do not depend on ``train`` and share no article with it.
        seed: seed of everything random.
        unanswerable: share of the questions without an answer, in [0, 1], rounded to whole questions per split.

    Returns:
        Splits ``train`` and ``test`` with SQuAD 2.0's features. Questions on the same passage are neighbours, and so
        are passages of the same article.

    Raises:
        SecateurError: if a number is out of range.
    """
    check_sizes(train=train, test=test, unit="question")
    if not 0 <= unanswerable <= 1:
        raise SecateurError(f"unanswerable={unanswerable}: give a share of the questions, from 0 to 1")
    splits = {}
    for (split, count), titles in zip({"train": train, "test": test}.items(), endless_titles(seed=seed), strict=True):
        rng = random.Random(f"{split} {seed}")
        flags = shuffled([index >= round(count * unanswerable) for index in range(count)], rng)
        splits[split] = _dataset(split, titles=titles, answerable=flags, rng=rng)
    return DatasetDict(splits)


class _Fact(NamedTuple):
    """Who did what to which things; ``details`` maps each stated detail to its text and its offset in ``sentence``."""

    person: str
    deed: str
    base: str
    thing: str
    sentence: str
    details: dict[str, tuple[str, int]]

    def ask(self, detail: str) -> str:
        return _QUESTIONS[detail].format(**self._asdict())


def _dataset(split: str, *, titles: Iterator[str], answerable: list[bool], rng: random.Random) -> Dataset:
    """One split, with a question for each entry of ``answerable``."""
    passages = -(-len(answerable) // QUESTIONS_PER_PASSAGE)
    columns: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for passage, title in enumerate(title_passages(passages, titles=titles)):
        first = passage * QUESTIONS_PER_PASSAGE
        wanted = answerable[first : first + QUESTIONS_PER_PASSAGE]
        context, questions = _passage(title, answerable=wanted, rng=rng)
        for index, (question, answers) in enumerate(questions, start=first):
            row = (f"{split}-{index}", title, context, question, answers)
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return Dataset.from_dict(columns, features=FEATURES)


def _passage(title: str, *, answerable: list[bool], rng: random.Random) -> tuple[str, list[tuple[str, _Answers]]]:
    """A passage, and a question with its answers for each entry of ``answerable``; no question occurs twice."""
    facts = _facts(rng)
    context = ""
    possible: list[tuple[str, _Answers]] = []
    for fact in facts:
        start = len(context)
        context += f"{fact.sentence} "
        possible += [
            (fact.ask(detail), {"text": [text], "answer_start": [start + offset]})
            for detail, (text, offset) in fact.details.items()
        ]
    possible = shuffled(possible, rng)
    impossible = _impossible(facts, rng)
    return context.rstrip(), [
        possible.pop() if has_answer else (impossible.pop(), {"text": [], "answer_start": []})
        for has_answer in answerable
    ]


def _facts(rng: random.Random) -> list[_Fact]:
    """Facts that have no answer in common, so that each question has at most one."""
    people, things = rng.sample(PEOPLE, FACTS_PER_PASSAGE), rng.sample(THINGS, FACTS_PER_PASSAGE)
    details = {name: rng.sample(words, FACTS_PER_PASSAGE) for name, words in _DETAILS.items()}
    deeds = rng.sample(DEEDS, FACTS_PER_PASSAGE)
    facts = []
    for index, (person, deed, thing) in enumerate(zip(people, deeds, things, strict=True)):
        words = {name: of_detail[index] for name, of_detail in details.items()}
        untold = rng.choice(_UNTOLD)
        if untold:
            words[untold] = rng.choice(_VAGUE[untold])
        facts.append(_fact(person, deed, thing, words=words, untold=untold))
    return facts


def _fact(person: str, deed: tuple[str, str], thing: str, *, words: dict[str, str], untold: str | None) -> _Fact:
    sentence = f"{person} {deed[0]}"
    details = {"person": (person, 0), "thing": (" ".join((*words.values(), thing)), len(sentence) + 1)}
    for name, word in words.items():
        if name != untold:
            details[name] = (word, len(sentence) + 1)
        sentence += f" {word}"
    return _Fact(person, *deed, thing, f"{sentence} {thing}.", details)


def _impossible(facts: list[_Fact], rng: random.Random) -> list[str]:
    """Questions for details that are not stated, and about things that are not mentioned, in random order."""
    untold = [fact.ask(detail) for fact in facts for detail in _QUESTIONS if detail not in fact.details]
    there = {fact.thing for fact in facts}
    absent = rng.sample([thing for thing in THINGS if thing not in there], QUESTIONS_PER_PASSAGE)
    kinds = list(_QUESTIONS)
    return shuffled(untold + [rng.choice(facts)._replace(thing=thing).ask(rng.choice(kinds)) for thing in absent], rng)


_QUESTIONS = {
    "person": "Who {deed} {thing}?",
    "number": "How many {thing} did {person} {base}?",
    "colour": "What colour {thing} did {person} {base}?",
    "thing": "Name the {thing} that {person} {deed}.",
}
_DETAILS = {"number": NUMBERS, "colour": COLOURS}
# Replaces a detail that is not stated, so that all sentences have the same length.
_VAGUE = {"number": ("some", "several", "many"), "colour": ("old", "new", "large", "small")}
# Half of the sentences state every detail.
_UNTOLD = (None, None, "number", "colour")
