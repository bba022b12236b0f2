"""A made-up extractive question-answering data set in SQuAD 2.0's schema, small enough to learn in under a minute.

Each article is about a village, each passage tells a few facts about some of its people, and each question asks
for one fact. The same person has facts of several kinds and facts of one kind are told of several people, so an
answer is found only by matching *both* the person and the kind of fact; an unanswerable question asks for a pair
that the passage does not hold, although it holds plausible answers of the right kind.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from datasets import Dataset, DatasetDict, Features, List, Value

from secateur.errors import SecateurError

QUESTIONS_PER_PASSAGE = 5
PASSAGES_PER_ARTICLE = 5
# A tenth of the articles, held out for validation, should still be several.
FEWEST_ARTICLES = 30
PEOPLE_PER_PASSAGE = 3
FACTS_PER_PASSAGE = 5

FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int64"))},
    }
)


def toy_qa(*, train: int, test: int, seed: int, unanswerable: float) -> DatasetDict:
    """Make up the data set; the same arguments give the same questions, everywhere.

    Args:
        train: number of training questions, at least 1.
        test: number of test questions, at least 1; their articles are not in ``train``.
        seed: of everything random.
        unanswerable: share of the questions without an answer, in [0, 1], rounded to whole questions per split.

    Returns:
        Splits ``train`` and ``test`` with SQuAD 2.0's features. Questions on one passage are neighbours.

    Raises:
        SecateurError: if a number is out of range.
    """
    _check(train=train, test=test, unanswerable=unanswerable)
    rng = random.Random(seed)
    titles = _titles(rng)
    rows = {
        split: list(_questions(split, count=count, titles=titles, unanswerable=unanswerable, rng=rng))
        for split, count in (("train", train), ("test", test))
    }
    return DatasetDict({split: _dataset(of_split) for split, of_split in rows.items()})


class _Relation(NamedTuple):
    """A kind of fact: how it is told, how it is asked for, and what its answers are."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


class _Fact(NamedTuple):
    person: str
    relation: _Relation
    answer: str
    start: int  # of the answer in the passage, in characters


def _check(*, train: int, test: int, unanswerable: float) -> None:
    for name, count in (("train", train), ("test", test)):
        if count < 1:
            raise SecateurError(f"{name}={count}: the made-up data set needs at least 1 question in each split")
    if not 0 <= unanswerable <= 1:
        raise SecateurError(f"unanswerable={unanswerable}: a share of the questions, from 0 to 1")


def _titles(rng: random.Random) -> Iterator[str]:
    """Village names without end and without repeats, so that no article is in both splits."""
    names = [first + last for first in _PLACE_BEGINNINGS for last in _PLACE_ENDINGS]
    rng.shuffle(names)
    yield from names
    for number in itertools.count(2):
        yield from (f"{name} {number}" for name in names)


def _questions(
    split: str, *, count: int, titles: Iterator[str], unanswerable: float, rng: random.Random
) -> Iterator[dict[str, Any]]:
    impossible = _shuffled([index < round(count * unanswerable) for index in range(count)], rng)
    passages = -(-count // QUESTIONS_PER_PASSAGE)
    articles = min(passages, max(FEWEST_ARTICLES, -(-passages // PASSAGES_PER_ARTICLE)))
    names = list(itertools.islice(titles, articles))
    number = 0
    for passage in range(passages):
        title = names[passage * articles // passages]
        people = rng.sample(_PEOPLE, PEOPLE_PER_PASSAGE)
        context, facts = _passage(title, people, rng)
        for _ in range(min(QUESTIONS_PER_PASSAGE, count - number)):
            if impossible[number]:
                person, relation = _missing(people, facts, rng)
                answers: dict[str, list[Any]] = {"text": [], "answer_start": []}
            else:
                person, relation, answer, start = rng.choice(facts)
                answers = {"text": [answer], "answer_start": [start]}
            question = rng.choice(relation.questions).format(person=person)
            yield {
                "id": f"{split}-{number}",
                "title": title,
                "context": context,
                "question": question,
                "answers": answers,
            }
            number += 1


def _passage(title: str, people: list[str], rng: random.Random) -> tuple[str, list[_Fact]]:
    """A few sentences, each telling one fact, and where its answer stands."""
    relations = rng.sample(_RELATIONS, RELATIONS_PER_PASSAGE)
    pairs = rng.sample(list(itertools.product(people, relations)), FACTS_PER_PASSAGE)
    answers = {relation: _shuffled(relation.answers, rng) for relation in relations}
    context, facts = f"In {title}:", []
    for person, relation in pairs:
        answer = answers[relation].pop()
        before, after = rng.choice(relation.statements).format(person=person, answer="\n").split("\n")
        context += " " + before
        facts.append(_Fact(person, relation, answer, len(context)))
        context += answer + after
    return context, facts


def _missing(people: list[str], facts: list[_Fact], rng: random.Random) -> tuple[str, _Relation]:
    """A person and a kind of fact that the passage tells, but not together."""
    told = {(fact.person, fact.relation) for fact in facts}
    stranger = rng.choice([person for person in _PEOPLE if person not in people])
    relations = sorted({fact.relation for fact in facts})
    pairs = itertools.product([*people, stranger], relations)
    return rng.choice([pair for pair in pairs if pair not in told])


def _dataset(rows: list[dict[str, Any]]) -> Dataset:
    return Dataset.from_dict({name: [row[name] for row in rows] for name in FEATURES}, features=FEATURES)


def _shuffled(values: Any, rng: random.Random) -> list[Any]:
    return rng.sample(values, len(values))


RELATIONS_PER_PASSAGE = 3
_PLACE_BEGINNINGS = ["Oak", "Ash", "Elm", "Mill", "Stone", "Brook", "Fern", "Thorn", "Lark", "Wolf", "Crow", "Heron"]
_PLACE_ENDINGS = ["ford", "ton", "by", "wick", "ham", "dale", "field", "moor"]
_PEOPLE = [
    "Ada",
    "Boris",
    "Clara",
    "Dmitri",
    "Elsa",
    "Felix",
    "Greta",
    "Hugo",
    "Irma",
    "Jonas",
    "Katja",
    "Leo",
    "Mara",
    "Nils",
    "Olga",
    "Pavel",
    "Rosa",
    "Stefan",
    "Tilda",
    "Viktor",
    "Wanda",
    "Yuri",
    "Zora",
    "Anton",
]
_RELATIONS = (
    _Relation(
        ("{person} was born in {answer}.", "In {answer} {person} was born."),
        ("When was {person} born?", "In which year was {person} born?"),
        tuple(str(year) for year in range(1901, 1925)),
    ),
    _Relation(
        ("{person} works as a {answer}.", "As a {answer} {person} works."),
        ("What does {person} work as?", "As what does {person} work?"),
        tuple(
            [
                "baker",
                "miller",
                "tailor",
                "teacher",
                "sailor",
                "painter",
                "doctor",
                "farmer",
                "weaver",
                "shepherd",
                "potter",
            ]
        )
        + ("clock maker", "book binder", "bell founder"),
    ),
    _Relation(
        ("{person} plays the {answer}.", "The {answer} is played by {person}."),
        ("What does {person} play?", "Which instrument does {person} play?"),
        tuple(["violin", "flute", "drum", "harp", "organ", "trumpet", "piano", "guitar", "lute"])
        + ("bass drum", "church organ", "tin flute"),
    ),
    _Relation(
        ("{person} keeps a {answer}.", "A {answer} is kept by {person}."),
        ("What does {person} keep?", "Which animal does {person} keep?"),
        tuple(["goat", "dog", "cat", "horse", "goose", "donkey", "rabbit", "pony", "sheep"])
        + ("black hen", "white mare", "grey parrot"),
    ),
    _Relation(
        ("{person} painted the door {answer}.", "The door painted by {person} is {answer}."),
        ("What colour did {person} paint the door?", "How did {person} paint the door?"),
        tuple(["red", "blue", "green", "yellow", "orange", "purple", "pink", "brown"])
        + ("dark blue", "light green", "bright red"),
    ),
    _Relation(
        ("{person} likes to eat {answer}.", "To eat {answer} is what {person} likes."),
        ("What does {person} like to eat?", "Which food does {person} like?"),
        tuple(["soup", "bread", "cheese", "plums", "honey", "trout", "cabbage", "pears", "nuts"])
        + ("apple cake", "fried eggs", "barley soup"),
    ),
    _Relation(
        ("{person} married {answer}.", "{answer} is married to {person}."),
        ("Whom did {person} marry?", "Who is married to {person}?"),
        tuple(
            [
                "Agnes",
                "Bruno",
                "Cecil",
                "Doris",
                "Edgar",
                "Frida",
                "Gustav",
                "Hilda",
                "Ivan",
                "Judith",
                "Konrad",
                "Lydia",
            ]
        ),
    ),
    _Relation(
        ("{person} moved here from {answer}.", "From {answer} {person} moved here."),
        ("Where did {person} move here from?", "From which city did {person} move here?"),
        tuple(["Lisbon", "Vienna", "Oslo", "Prague", "Dublin", "Cairo", "Athens", "Warsaw", "Madrid"])
        + ("New York", "Cape Town", "Buenos Aires"),
    ),
)
