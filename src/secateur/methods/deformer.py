"""DeFormer: question and document pass through the lower layers separately (Cao et al., ACL 2020, arXiv 2005.00697)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.methods.layer_choice import TOLERANCE
from secateur.methods.phase import Phase
from secateur.methods.rounding import rounded_up
from secateur.structure.anatomy import layers_of
from secateur.structure.decomposition import check_lower_layers, decompose, question_slot_of
from secateur.training.module import TrainingModule

log = logging.getLogger(__name__)

INITS = ("segmented", "pretrained")


class LowerLayers:
    """The number of lower layers, in which question and document do not attend to each other, given in one of two ways.

    Args:
        sparsity: as a fraction of all layers, in [0, 1), rounded up to whole layers.
        lower_layers: as a number, 0 to all.
    """

    def __init__(self, *, sparsity: float | None = None, lower_layers: int | None = None) -> None:
        if sparsity is not None and lower_layers is not None:
            raise SecateurError(
                f"lower_layers={lower_layers}: cannot be combined with sparsity={sparsity}; set sparsity=null"
            )
        if sparsity is None and lower_layers is None:
            raise SecateurError("sparsity=null: number of lower layers not given; set sparsity or method.lower_layers")
        if lower_layers is not None and lower_layers < 0:
            raise SecateurError(f"lower_layers={lower_layers}: must be 0 or more")
        self.sparsity = sparsity
        self.lower_layers = lower_layers

    def of(self, count: int) -> int:
        """The number of lower layers in a model of ``count`` layers."""
        return rounded_up(self.sparsity, count) if self.lower_layers is None else self.lower_layers  # type: ignore[arg-type]

    def check(self, count: int) -> None:
        """Reject, before anything is trained, more lower layers than the model has layers.

        Raises:
            SecateurError: naming the model's number of layers.
        """
        asked = self.of(count)
        check_lower_layers(asked, count=count)
        if self.sparsity is not None and asked / count - self.sparsity > TOLERANCE:
            log.warning(
                "sparsity=%g: only complete layers are decomposed, so it is %d of %d layers, which is %.2f",
                *(self.sparsity, asked, count, asked / count),
            )


class Segment(Step):
    """Take the dense model that reads question and document in separate slots, joined from the first layer on.

    It is the predecessor in that layout, trained with the same settings, once for all runs that need it; decomposition
    starts from it and imitates it. A predecessor given by the user is fine-tuned further instead, so that methods can
    be combined.
    """

    segments = True
    any_architecture = True

    def run(self, state: State, context: Context) -> State:
        """Replace the model by the segmented predecessor."""
        return State(model=context.origins.segmented())


class Separation(Step):
    """Decompose the lower layers without training, to measure the cost of decomposition alone.

    Args:
        amount: how many layers to decompose.
        evaluate: as in :class:`secateur.methods.base.Step`.
    """

    segments = True
    any_architecture = True

    def __init__(self, *, amount: LowerLayers, evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        self.amount = amount

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that the model has as many layers as are to be decomposed."""
        self.amount.check(len(heads))

    def run(self, state: State, context: Context) -> State:
        """Decompose."""
        slot = question_slot_of(state.model)
        lower_layers = self.amount.of(len(layers_of(state.model)))
        decompose(state.model, lower_layers=lower_layers, question_slot=slot)
        return State(model=state.model, details={"lower_layers": lower_layers})


class Decomposition(Phase):
    """Decompose the lower layers permanently and train all weights on the task.

    Args:
        amount: how many layers to decompose.
        init: what training starts from: the "segmented" model, or the "pretrained" one with a newly initialised head,
            as in the paper.
        training: as in :class:`secateur.methods.phase.Phase`; ``distillation`` imitates the segmented model, in
            evaluation mode, unlike in the released code.
    """

    segments = True
    any_architecture = True

    def __init__(self, *, amount: LowerLayers, init: str, **training: Any) -> None:
        super().__init__(**training)
        if init not in INITS:
            raise SecateurError(f"init={init}: must be one of {', '.join(INITS)}")
        self.amount = amount
        self.needs_pretrained = init == "pretrained"

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that the model has as many layers as are to be decomposed."""
        self.amount.check(len(heads))

    def run(self, state: State, context: Context) -> State:
        """Decompose and train."""
        slot = question_slot_of(state.model)
        model = self.begins_with(state, context)
        lower_layers = self.amount.of(len(layers_of(model)))
        decompose(model, lower_layers=lower_layers, question_slot=slot)
        # The start reads packed inputs: its tokens have other positions, so nothing could be compared.
        origins = context.origins
        taught = dataclasses.replace(origins, teacher=origins.segmented, teacher_outputs=origins.segmented_outputs)
        imitated = dataclasses.replace(context, origins=taught)
        module = TrainingModule(model, context.task, **self.training(imitated))
        trained = self.trained(module, imitated)
        return dataclasses.replace(trained, details={"lower_layers": lower_layers})
