"""Auto classes by name: those of transformers, and one for the head that transformers lacks."""

from __future__ import annotations

from typing import Any

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from secateur.structure import modeling_secateur
from secateur.structure.modeling_secateur import AUTO_CLASSES, PREFIX


class AutoModelForNaturalQuestions:
    """Span and type of an answer; see :class:`secateur.structure.modeling_secateur.NaturalQuestionsMixin`."""

    @classmethod
    def from_config(cls, config: PretrainedConfig, **settings: Any) -> PreTrainedModel:
        """A model with random weights, as the Auto classes of transformers create it."""
        made = getattr(modeling_secateur, f"{PREFIX}{AUTO_CLASSES[cls.__name__][config.model_type]}")
        return made._from_config(config, **settings)


def auto_class_named(name: str) -> Any:
    """The Auto class of this name."""
    return (
        AutoModelForNaturalQuestions if name == AutoModelForNaturalQuestions.__name__ else getattr(transformers, name)
    )
