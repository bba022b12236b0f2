"""Which parts of a model a phase trains in addition to its layers, and which gradients clipping counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.structure.parts import parts_of
from secateur.training.module import frozen

CLIPS = ("trained", "all")


@dataclass(frozen=True, kw_only=True)
class TrainedParts:
    """What the optimizer changes.

    Attributes:
        embeddings, head: whether they are trained.
        clip: which gradients count towards the norm for clipping: those of "trained" weights, or of "all" weights, as
            in code that freezes weights only by not passing them to the optimizer; "all" computes gradients that
            nothing else needs.
    """

    embeddings: bool = True
    head: bool = True
    clip: str = "trained"

    def __post_init__(self) -> None:
        if self.clip not in CLIPS:
            raise SecateurError(f"clip={self.clip}: must be one of {', '.join(CLIPS)}")

    def of(self, model: PreTrainedModel, *, layers: Sequence[nn.Parameter] | None = None) -> list[nn.Parameter]:
        """The weights to train; ``layers`` replaces the weights of the model's own layers."""
        parts = parts_of(model)
        chosen = list(parts["layers"] if layers is None else layers)
        for part in ("embeddings", "head"):
            chosen += parts[part] if getattr(self, part) else []
        chosen_ids = {id(weight) for weight in chosen}
        return [weight for weight in model.parameters() if id(weight) in chosen_ids]

    @contextmanager
    def without_needless_gradients(self, model: PreTrainedModel, trained: Sequence[nn.Parameter]) -> Iterator[None]:
        """Within the context, weights that are neither ``trained`` nor counted by the clip get no gradient.

        The head always gets one: a batch that runs only through frozen layers still needs a differentiable loss, even
        though its gradient changes nothing.
        """
        needed = {id(weight) for weight in (*trained, *parts_of(model)["head"])}
        needless = [] if self.clip == "all" else [each for each in model.parameters() if id(each) not in needed]
        with frozen(needless):
            yield
