"""Removing layers, or the attention or FFN of layers: ``method=truncate``, and the removal after LayerDrop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from secateur.distributed import is_leader
from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.methods.layer_choice import LayerAmount, check_removal, kept_layers
from secateur.structure.anatomy import layers_of
from secateur.structure.depth import UNITS, keep_units, skippable

log = logging.getLogger(__name__)

INITS = ("predecessor", "pretrained")


class RemoveLayers(Step):
    """Remove layers permanently, or the attention or FFN of layers.

    Args:
        amount: how many layers to remove, or which to keep.
        remove: which to remove: see :func:`secateur.methods.layer_choice.kept_layers`, or "search", which removes one
            layer after the other, each time the one whose absence costs least on ``val``; ignored if ``amount`` lists
            the layers to keep.
        unit: what to remove: the ``layer`` itself, its ``attention`` or its ``ffn``.
        init: what is cut: the "predecessor", or the "pretrained" model that it was made from, with a newly initialised
            head.
    """

    def __init__(
        self,
        *,
        amount: LayerAmount,
        remove: str,
        unit: str = "layer",
        init: str = "predecessor",
        evaluate: bool = False,
    ) -> None:
        super().__init__(evaluate=evaluate)
        check_removal(remove, also=("search",))
        check_unit(unit)
        check_init(init)
        if remove == "search" and init == "pretrained":
            raise SecateurError(
                "init=pretrained: its head is untrained, so remove=search has no meaningful scores; "
                "set init=predecessor"
            )
        if remove == "search" and amount.keep is not None:
            log.warning("remove=search: has no effect with keep=%s, which lists the layers to keep", amount.keep)
        self.amount = amount
        self.remove = remove
        self.unit = unit
        self.changes_depth = unit == "layer"
        self.needs_pretrained = init == "pretrained"
        self.takes_decomposed = not self.needs_pretrained  # the pretrained model reads question and document jointly

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that the model has the layers to be kept.

        Raises:
            SecateurError: if not, or if none would be left.
        """
        self.amount.check(len(heads))

    def run(self, state: State, context: Context) -> State:
        """Choose and cut; the kept layers, and the results of a search, go into the record."""
        model = self.begins_with(state, context)
        details: dict[str, Any] = {"unit": self.unit}
        count = len(layers_of(model))
        if self.amount.keep is not None:
            keep = list(self.amount.keep)
        elif self.remove == "search":
            if not is_leader():  # the others would only compute the same scores again
                return state
            keep, details["search"] = search(model, self.amount.left_of(count), unit=self.unit, context=context)
        else:
            keep = kept_layers(count, self.amount.left_of(count), remove=self.remove)
        keep_units(model, keep, unit=self.unit)
        return State(model=model, details={**details, "kept": keep})


def search(model: PreTrainedModel, left: int, *, unit: str, context: Context) -> tuple[list[int], list[dict[str, Any]]]:
    """Remove one layer after the other, each time the one without which ``val`` is scored best; ties go to the last.

    Ties are common: a model that predicts one class for everything scores the same without any layer. The search takes
    about n² / 2 passes over ``val`` for n layers ("Search on Valid", Fan et al., section 3.2).

    Args:
        model: the model; it is not changed.
        left: number of layers to keep.
        unit: what is removed of a layer.
        context: of the step.

    Returns:
        The layers to keep, and for each removed layer its index and the scores without it.
    """
    keep, metric = list(range(len(layers_of(model)))), context.task.metric
    trail: list[dict[str, Any]] = []
    while len(keep) > left:
        scores = {number: _scores_without(model, number, keep, unit=unit, context=context) for number in keep}
        goes = max(reversed(keep), key=lambda number: scores[number][metric])
        keep.remove(goes)
        trail.append({"layer": goes, "scores": scores[goes]})
        log.info("search: without layer %d val/%s is %.1f", goes, metric, scores[goes][metric])
    return keep, trail


def check_unit(unit: str) -> None:
    """Reject an unknown unit of a layer."""
    if unit not in UNITS:
        raise SecateurError(f"unit={unit}: must be one of {', '.join(UNITS)}")


def check_init(init: str) -> None:
    """Reject an unknown model to start from."""
    if init not in INITS:
        raise SecateurError(f"init={init}: must be one of {', '.join(INITS)}")


def _scores_without(
    model: PreTrainedModel, number: int, keep: Sequence[int], *, unit: str, context: Context
) -> dict[str, float]:
    with skippable(model, lambda layer: layer == number or layer not in keep, unit=unit):
        return context.scores(model, split="val")
