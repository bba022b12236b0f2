"""A synthetic data set of sentence pairs for text classification, small enough to learn in under a minute.

``model=tiny`` classifies three out of four pairs correctly after five epochs of 4,500 pairs.

Each premise says who did what to which things. A hypothesis restates one detail about the things: what was done to
them, how many there were, or their colour. Either it is entailed, or that detail is wrong. A hypothesis never repeats
the premise's word for a detail but uses a different one ("crimson" for "red", "5" for "five"), so counting the words
that the two have in common reveals nothing. A model has to know which words mean the same and to compare across the
pair. Neither half alone reveals the label, since correct and wrong details are drawn from the same words.

Four properties make this learnable from random weights within a few hundred steps; without them, models of this size
did no better than guessing. A hypothesis has only one detail, so nothing else in it can be wrong. The detail is always
its fourth word. There are few words for each detail, and most hypotheses are about colours: these are learnt first, and
the other details build on them. And most premises are a single sentence. Premises of two sentences are the hard part,
because a wrong detail may be the correct one of the other sentence; a model this small gets few of these right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from secateur.data.toy_words import PEOPLE, THINGS, check_sizes, endless_titles, shuffled, title_passages

# One hypothesis that is entailed, and one that is not.
PAIRS_PER_PREMISE = 2
# Share of the premises.
TWO_SENTENCES = 0.3
# Share of the wrong details for premises of two sentences; the others occur in neither sentence.
FROM_THE_OTHER_SENTENCE = 0.25

FEATURES = Features(
    {
        "title": Value("string"),
        "text": Value("string"),
        "text_pair": Value("string"),
        "label": ClassLabel(names=["entailment", "not_entailment"]),
    }
)


def toy_pairs(*, train: int, test: int, seed: int) -> DatasetDict:
    """Generate the data set; the same arguments give the same pairs on every machine.

    Args:
        train: number of training pairs, at least 1.
        test: number of test pairs, at least 1. They do not depend on ``train`` and share no title with it.
        seed: seed of everything random.

    Returns:
        Splits ``train`` and ``test`` with the columns ``title``, ``text`` (the premise), ``text_pair`` (the hypothesis)
        and ``label``; an even number of pairs has equally many of both labels. Pairs with the same premise are
        neighbours, and so are premises with the same title.

    Raises:
        SecateurError: if a number is out of range.
    """
    check_sizes(train=train, test=test, unit="pair")
    splits = {}
    for (split, count), titles in zip({"train": train, "test": test}.items(), endless_titles(seed=seed), strict=True):
        splits[split] = _dataset(count, titles=titles, rng=random.Random(f"{split} {seed}"))
    return DatasetDict(splits)


class _Fact(NamedTuple):
    """Who did what to which things; ``details`` maps each detail to its word."""

    person: str
    thing: str
    details: dict[str, str]

    def sentence(self) -> str:
        return "{0} {deed} {number} {colour} {1}.".format(self.person, self.thing, **self.details)


def _dataset(count: int, *, titles: Iterator[str], rng: random.Random) -> Dataset:
    """One split."""
    premises = -(-count // PAIRS_PER_PREMISE)
    rows = [
        {"title": title, "text": premise, "text_pair": hypothesis, "label": label}
        for title in title_passages(premises, titles=titles)
        for premise, hypothesis, label in _pairs(rng)
    ]
    return Dataset.from_list(rows[:count], features=FEATURES)


def _pairs(rng: random.Random) -> list[tuple[str, str, str]]:
    """A premise with both of its hypotheses and their labels, in random order."""
    facts = _facts(rng)
    premise = " ".join([fact.sentence() for fact in facts] + [_CLOSING] * (2 - len(facts)))
    pairs = [(premise, _entailed(facts, rng), "entailment"), (premise, _not_entailed(facts, rng), "not_entailment")]
    return shuffled(pairs, rng)


def _facts(rng: random.Random) -> list[_Fact]:
    """One or two facts that have no word in common."""
    many = 2 if rng.random() < TWO_SENTENCES else 1
    words = {detail: rng.sample(list(of_detail), many) for detail, of_detail in _REWORDED.items()}
    people, things = rng.sample(PEOPLE, many), rng.sample(THINGS, many)
    return [
        _Fact(person, thing, {detail: of_detail[index] for detail, of_detail in words.items()})
        for index, (person, thing) in enumerate(zip(people, things, strict=True))
    ]


def _entailed(facts: list[_Fact], rng: random.Random) -> str:
    fact, detail = rng.choice(facts), _drawn_detail(rng)
    return _hypothesis(fact, detail, word=fact.details[detail])


def _not_entailed(facts: list[_Fact], rng: random.Random) -> str:
    fact, detail = rng.choice(facts), _drawn_detail(rng)
    told = [other.details[detail] for other in facts]
    if len(facts) > 1 and rng.random() < FROM_THE_OTHER_SENTENCE:
        wrong = [word for word in told if word != fact.details[detail]]
    else:
        wrong = [word for word in _REWORDED[detail] if word not in told]
    return _hypothesis(fact, detail, word=rng.choice(wrong))


def _drawn_detail(rng: random.Random) -> str:
    return rng.choices(list(_FREQUENCY), weights=list(_FREQUENCY.values()))[0]


def _hypothesis(fact: _Fact, detail: str, *, word: str) -> str:
    return _HYPOTHESES[detail].format(fact.thing, _REWORDED[detail][word])


# As long as a fact's sentence, which it replaces.
_CLOSING = "That was all that day."
# What a premise says -> how a hypothesis says it.
_REWORDED = {
    "deed": {
        "bought": "purchased",
        "found": "discovered",
        "lost": "misplaced",
        "mended": "repaired",
        "made": "built",
    },
    "number": {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6"},
    "colour": {"red": "crimson", "blue": "azure", "green": "emerald", "yellow": "golden", "white": "snowy"},
}
_HYPOTHESES = {"deed": "The {} were {}.", "number": "The {} were {} in all.", "colour": "The {} were {}."}
# Relative frequencies.
_FREQUENCY = {"deed": 1, "number": 1, "colour": 3}
