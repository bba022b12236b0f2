"""What the built-in data sets share: their words, and names of villages as titles of groups of rows."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from secateur.errors import SecateurError

PASSAGES_PER_TITLE = 5
# Enough that a tenth of the titles, held out for validation, is more than one.
FEWEST_TITLES = 30

PEOPLE = (
    *("Ada", "Boris", "Clara", "Dmitri", "Elsa", "Felix", "Greta", "Hugo", "Irma", "Jonas", "Katja", "Leo"),
    *("Mara", "Nils", "Olga", "Pavel", "Rosa", "Stefan", "Tilda", "Viktor", "Wanda", "Yuri", "Zora", "Anton"),
)
# The past tense, which is also the participle, and the base form.
DEEDS = (
    *(("sold", "sell"), ("painted", "paint"), ("bought", "buy"), ("found", "find")),
    *(("lost", "lose"), ("mended", "mend"), ("borrowed", "borrow"), ("made", "make")),
)
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "grey", "pink", "purple", "orange")
THINGS = (
    *("boats", "doors", "carts", "chairs", "drums", "coats", "lamps"),
    *("ropes", "hats", "bowls", "bells", "kites", "spoons", "baskets"),
)
# Titles are names of villages; the passages do not mention them.
_PLACE_BEGINNINGS = ("Oak", "Ash", "Elm", "Mill", "Stone", "Brook", "Fern", "Thorn", "Lark", "Wolf", "Crow")
_PLACE_ENDINGS = ("ford", "ton", "by", "wick", "ham", "dale", "field", "moor")

_T = TypeVar("_T")


def check_sizes(*, train: int, test: int, unit: str) -> None:
    """Reject an empty split; ``unit`` names what it would consist of.

    Raises:
        SecateurError: if ``train`` or ``test`` is below 1.
    """
    for name, count in (("train", train), ("test", test)):
        if count < 1:
            raise SecateurError(f"{name}={count}: the toy data set needs at least 1 {unit} in each split")


def endless_titles(*, seed: int) -> tuple[Iterator[str], Iterator[str]]:
    """An endless iterator of titles for each of the two splits; no title occurs twice."""
    names = [first + last for first in _PLACE_BEGINNINGS for last in _PLACE_ENDINGS]
    names = shuffled(names, random.Random(seed))
    half = len(names) // 2
    return _endless(names[:half]), _endless(names[half:])


def title_passages(passages: int, *, titles: Iterator[str]) -> list[str]:
    """The title of each of a split's passages; passages with the same title are neighbours."""
    groups = min(passages, max(FEWEST_TITLES, -(-passages // PASSAGES_PER_TITLE)))
    names = list(itertools.islice(titles, groups))
    return [names[passage * groups // passages] for passage in range(passages)]


def shuffled(values: Sequence[_T], rng: random.Random) -> list[_T]:
    """The values in random order, drawn from ``rng``."""
    return rng.sample(values, len(values))


def _endless(names: list[str]) -> Iterator[str]:
    yield from names
    for number in itertools.count(2):
        yield from (f"{name} {number}" for name in names)
