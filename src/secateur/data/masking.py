"""Masking tokens for a model to predict (BERT: Devlin et al., arXiv 1810.04805, section 3.1 and appendix A.1).

Shapes: T tokens of an input without special tokens, W words, V ids of a vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from secateur.data.words import word_starts
from secateur.errors import SecateurError

IGNORED = -100
"""Label of a token that is not predicted."""
MASKINGS = ("token", "whole_word")


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How many tokens are selected for prediction, and what replaces them.

    Attributes:
        probability: share of the tokens that are selected, in (0, 1).
        unit: "token" selects single tokens, "whole_word" all tokens of the selected words.
        mask_share: share of the selected tokens that are replaced by the mask token, in [0, 1].
        random_share: share that are replaced by a random token of the vocabulary, in [0, 1]; the rest stay unchanged.
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
    """Applies a :class:`Masking` for one vocabulary.

    Raises:
        SecateurError: if the tokenizer has no mask token, or does not mark word boundaries and ``unit`` needs them.
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
        """The ids that the model sees (T,), and labels (T,): the ids where selected, else :data:`IGNORED`."""
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
    """Select words at random, at least one, as many as fit into ``probability`` of all tokens; bool (T,).

    Longer words are never selected; if every word is longer, as in text without spaces, that many consecutive tokens
    are selected instead.

    Args:
        starts_T: where words begin; the first token, which may continue a word cut off before it, counts as a start.
        probability: share of the tokens to select, in (0, 1).
        rng: source of randomness.
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
