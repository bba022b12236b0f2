"""The lengths that a model was trained with, kept in its config, so that serving splits documents the same way."""

from __future__ import annotations

from transformers import PretrainedConfig

from secateur.data.examples import Lengths
from secateur.errors import SecateurError

SQUAD = Lengths(max_seq_length=384, max_question_length=64, doc_stride=128)
"""The usual lengths for SQuAD (Devlin et al., arXiv 1810.04805), for models whose config does not say theirs."""
_KEY = "secateur_lengths"
_NAMES = ("max_seq_length", "max_question_length", "doc_stride")


def keep_lengths(config: PretrainedConfig, lengths: Lengths) -> None:
    """Write ``lengths`` into a model's config."""
    setattr(config, _KEY, {name: getattr(lengths, name) for name in _NAMES})


def lengths_of(config: PretrainedConfig, **given: int | None) -> Lengths:
    """The lengths in a model's config, or :data:`SQUAD` if it has none; those ``given`` replace them unless None.

    Raises:
        SecateurError: if they are not whole numbers by their names.
    """
    kept = getattr(config, _KEY, None)
    if kept is None:
        kept = {name: getattr(SQUAD, name) for name in _NAMES}
    if not isinstance(kept, dict) or set(kept) != set(_NAMES) or not all(type(each) is int for each in kept.values()):
        raise SecateurError(f"config.json: {_KEY}={kept}: must give {', '.join(_NAMES)} as whole numbers")
    return Lengths(**{**kept, **{name: length for name, length in given.items() if length is not None}})
