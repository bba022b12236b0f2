"""Classification of texts and of pairs of texts (GLUE: Wang et al., arXiv 1804.07461)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from datasets import DatasetDict
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from secateur.data.examples import Batch, Examples
from secateur.data.labelled import load_classes
from secateur.data.sources import Source
from secateur.data.text_pairs import TextPairs
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled, Evaluator
from secateur.tasks.labels import LabelEvaluator, most_probable
from secateur.tasks.metrics import CLASSIFICATION
from secateur.tasks.text_pairs import TextPairTask


class Classification(TextPairTask):
    """One class for each text or pair of texts.

    Args:
        metrics: scores to compute: ``accuracy``, ``f1`` and ``mcc`` (Matthews' correlation).
        metric: the one that tables rank by; ``average`` is the mean of several.
        labels: names of the classes, in order; the data contains these names or their indices. None takes the names
            from the training data.
        document: which text of a pair is the document, ``text`` or ``text_pair``, if the two are read separately.
    """

    row_settings: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(
        self,
        *,
        metrics: Sequence[str],
        metric: str,
        labels: Sequence[str] | None = None,
        document: str = "text_pair",
    ) -> None:
        super().__init__(metrics=metrics, metric=metric, document=document, known=tuple(CLASSIFICATION))
        self.labels = None if labels is None else _names(labels)

    def load_rows(self, source: Source) -> DatasetDict:
        """Rows with class indices; see :mod:`secateur.data.labelled`."""
        return load_classes(source, labels=self.labels)

    def head_settings(self, examples: Examples) -> dict[str, Any]:
        """One output per class, with the class names."""
        assert isinstance(examples, TextPairs)
        names = examples.rows.features["label"].names
        return {
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": {name: index for index, name in enumerate(names)},
            "problem_type": "single_label_classification",
        }

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Reject a model with other classes, or the same in another order; a model with unnamed classes is accepted."""
        super().check_head(model, examples, key=key)
        names: Any = model.config.id2label
        needed = self.head_settings(examples)["id2label"]
        if names != needed and names != {index: f"LABEL_{index}" for index in names}:
            raise SecateurError(
                f"{key}: the model's labels are {', '.join(names.values())}, the data's {', '.join(needed.values())}; "
                "set their order with dataset.task.labels, or give a model that was trained on this task"
            )

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """The distribution over classes (B, C)."""
        return [Distilled(logits=outputs["logits"], mask=None)]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Scores of the most probable class."""
        assert isinstance(examples, TextPairs)
        names = examples.rows.features["label"].names
        metrics = {name: CLASSIFICATION[name](len(names)) for name in self.metrics}
        return LabelEvaluator(metrics, examples, decode=most_probable, name=names.__getitem__)


def _names(labels: Sequence[str]) -> list[str]:
    names = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(set(names)) != max(len(names), 2):
        raise SecateurError(f"labels={labels}: give a list of at least two names, all different, or null")
    return names
