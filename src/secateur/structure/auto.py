"""Auto classes by name: those of transformers, and one for the head that transformers lacks."""

from __future__ import annotations

from typing import Any

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from secateur.structure import modeling_secateur
from secateur.structure.modeling_secateur import AUTO_CLASSES, NATURAL_QUESTIONS, PREFIX, QUESTION_ANSWERING


class AutoModelForNaturalQuestions:
    """Span and type of an answer; see :class:`secateur.structure.modeling_secateur.NaturalQuestionsMixin`."""

    @classmethod
    def from_config(cls, config: PretrainedConfig, **settings: Any) -> PreTrainedModel:
        """A model of random weights, as the Auto classes of transformers make them."""
        made = getattr(modeling_secateur, f"{PREFIX}{class_name_of(cls.__name__, config.model_type)}")
        return made._from_config(config, **settings)


def auto_class_named(name: str) -> Any:
    """The Auto class of this name."""
    return (
        AutoModelForNaturalQuestions if name == AutoModelForNaturalQuestions.__name__ else getattr(transformers, name)
    )


def class_name_of(auto_class: str, model_type: str | None) -> str | None:
    """The model class that an Auto class stands for, by its stock name; None where an architecture has none."""
    known = AUTO_CLASSES.get(auto_class.replace(NATURAL_QUESTIONS, QUESTION_ANSWERING), {})
    name = known.get(model_type) if model_type else None
    if name is not None and auto_class.endswith(NATURAL_QUESTIONS):
        return name.replace(QUESTION_ANSWERING, NATURAL_QUESTIONS)
    return name
