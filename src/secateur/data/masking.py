"""Hiding tokens for a model to guess (BERT: Devlin et al., arXiv 1810.04805, section 3.1 and appendix A.1).

Shapes: T tokens of an input without special tokens, W words, V ids of a vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from secateur.data.words import word_starts
from secateur.errors import SecateurError

IGNORED = -100
"""Label of a token that is not to be guessed."""
MASKINGS = ("token", "whole_word")


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How much is hidden, and how.

    Attributes:
        probability: share of the tokens to be guessed, in (0, 1).
        unit: "token" draws tokens, "whole_word" words, of which all tokens are to be guessed.
        mask_share: of those, the mask takes the place of so many, in [0, 1];
        random_share: a token drawn from the vocabulary that of so many; the rest stay as they are.
    """

    probability: float
    unit: str
    mask_share: float
    random_share: float

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise SecateurError(f"mask_probability={self.probability}: must lie in (0, 1)")
        if self.unit not in MASKINGS:
            raise SecateurError(f"masking={self.unit}: must be {' or '.join(MASKINGS)}")
        for name in ("mask_share", "random_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SecateurError(f"{name}={getattr(self, name)}: must lie in [0, 1]")
        if self.mask_share + self.random_share > 1:
            raise SecateurError(
                f"random_share={self.random_share}: must not exceed 1 - mask_share = {1 - self.mask_share:g}"
            )


class Masker:
    """A :class:`Masking` for one vocabulary.

    Raises:
        SecateurError: if the tokenizer has no mask, or does not tell words apart where it has to.
    """

    def __init__(self, masking: Masking, tokenizer: PreTrainedTokenizerBase) -> None:
        if tokenizer.mask_token_id is None:
            raise SecateurError(
                f"model.checkpoint: its tokenizer, a {type(tokenizer).__name__}, has no mask token; "
                "give a checkpoint with the vocabulary of a masked language model"
            )
        self.masking = masking
        self.mask = tokenizer.mask_token_id
        self.ordinary = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        self.starts_V = word_starts(tokenizer) if masking.unit == "whole_word" else np.ones(len(tokenizer), dtype=bool)

    def hide(self, ids_T: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What the model sees, and labels: the ids where they are to be guessed, else :data:`IGNORED`."""
        hidden_T = draw_words(self.starts_V[ids_T], probability=self.masking.probability, rng=rng)
        places = np.flatnonzero(hidden_T)
        fate = rng.random(len(places))
        masked = fate < self.masking.mask_share
        drawn = ~masked & (fate < self.masking.mask_share + self.masking.random_share)
        seen_T = ids_T.copy()
        seen_T[places[masked]] = self.mask
        seen_T[places[drawn]] = rng.choice(self.ordinary, size=drawn.sum())
        return seen_T, np.where(hidden_T, ids_T, IGNORED)


def draw_words(starts_T: np.ndarray, *, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Words at random, one at least, as many as fit into ``probability`` of all tokens; bool (T,).

    Words that are longer than that are left alone, and where all are, as in text without spaces, so many tokens in a
    row are taken.

    Args:
        starts_T: where words begin; the first token, which may go on with a word that was cut, begins one here.
    """
    word_T = np.cumsum(starts_T) - starts_T[0]
    sizes_W = np.bincount(word_T)
    budget = max(1, round(probability * len(starts_T)))
    order = rng.permutation(np.flatnonzero(sizes_W <= budget))
    if len(order) == 0:
        first = int(rng.integers(len(starts_T) - budget + 1))
        places_T = np.arange(len(starts_T))
        return (places_T >= first) & (places_T < first + budget)
    taken = int(np.searchsorted(sizes_W[order].cumsum(), budget, side="right"))
    return np.isin(word_T, order[:taken])
