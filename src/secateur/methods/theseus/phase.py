"""The phase that trains successors in place of the predecessor's modules, and keeps only the successors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from secateur.data.task_data import TaskData
from secateur.distillation import PatientDistillation
from secateur.distributed import is_leader
from secateur.errors import SecateurError
from secateur.methods.base import Context, State
from secateur.methods.layer_choice import LayerAmount, check_removal, kept_layers
from secateur.methods.phase import Phase
from secateur.methods.remove_layers import check_init
from secateur.methods.shared_draws import SharedDraws
from secateur.methods.theseus.modules import Replaceable, copied, mixed, pair_up
from secateur.methods.theseus.schedule import Schedule
from secateur.methods.theseus.training import ReplacementTraining
from secateur.methods.trained_parts import TrainedParts
from secateur.structure.anatomy import layers_of
from secateur.structure.depth import set_layers, swapped_layers
from secateur.structure.fixed_zeros import FixedZeros, drop_stale_declarations


class Replacement(Phase):
    """Train fewer layers to replace the predecessor's (Xu et al., section 3).

    Args:
        amount: the number of successor layers.
        schedule: how often a module is replaced.
        modules: number of modules that both are divided into, from 1 to the number of successor layers; None: the
            number of successor layers.
        init: where the successors' initial weights come from: the "predecessor", as in the released code, or the
            "pretrained" model, as in the paper's text.
        remove: which of its layers are not used; see :func:`secateur.methods.layer_choice.kept_layers`.
        mixes: lists of modules; for each list, the model with only these modules replaced is scored on ``test`` at the
            end, without further training, for the record (table 5 of the paper); None scores none.
        train_embeddings, train_head, clip: see :class:`secateur.methods.trained_parts.TrainedParts`; the released code
            trains neither, and clips by all.
        training: as in :class:`secateur.methods.phase.Phase`; the paper does not use ``distillation``.
    """

    skips_layers = True
    changes_depth = True

    def __init__(
        self,
        *,
        amount: LayerAmount,
        schedule: Schedule,
        modules: int | None = None,
        init: str = "predecessor",
        remove: str = "last",
        mixes: Sequence[Sequence[int]] | None = None,
        train_embeddings: bool = False,
        train_head: bool = False,
        clip: str = "all",
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_init(init)
        check_removal(remove)
        loss = training.get("distillation")
        if isinstance(loss, PatientDistillation) and loss.layers == "last":
            raise SecateurError(
                "distillation.loss.layers=last: modules replace all of the teacher's layers; set it to skip"
            )
        self.amount = amount
        self.modules = modules
        self.schedule = schedule
        self.needs_pretrained = init == "pretrained"
        self.takes_decomposed = False  # modules replace the layers, the first of which would be decomposed
        self.remove = remove
        self.mixes = [sorted(set(mix)) for mix in mixes or ()]
        self.parts = TrainedParts(embeddings=train_embeddings, head=train_head, clip=clip)

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that there are enough layers for the modules.

        Raises:
            SecateurError: if not, or if a mix names a module that does not exist.
        """
        self.amount.check(len(heads))
        left = self.amount.left_of(len(heads))
        modules = left if self.modules is None else self.modules
        if not 1 <= modules <= left:
            raise SecateurError(f"modules={modules}: must be from 1 to {left}, the number of successor layers")
        for mix in self.mixes:
            if mix and not 0 <= mix[0] <= mix[-1] < modules:
                raise SecateurError(f"mixes={mix}: the modules are 0 to {modules - 1}; name only these")

    def check_data(self, data: TaskData, *, processes: int) -> None:
        """Check that the schedule fits into the phase.

        Raises:
            SecateurError: if the phase ends before the rate is 1.
        """
        batches = len(data.train_loader(batch_size=self.passes.batch_size, seed=0, processes=processes))
        self.schedule.check(self.passes.optimizer_steps(batches))

    def run(self, state: State, context: Context) -> State:
        """Train, score the mixes, and keep only the successors."""
        model = state.model
        predecessor = list(layers_of(model))
        left = self.amount.left_of(len(predecessor))
        source = layers_of(self.begins_with(state, context))
        successor = copied([source[number] for number in kept_layers(len(source), left, remove=self.remove)])
        modules = pair_up(predecessor, successor, modules=self.modules or left)
        with swapped_layers(model, successor):
            drop_stale_declarations(model)  # successors may have none of the zeros that the predecessor declares
            fixed = FixedZeros.of(model)
        with swapped_layers(model, modules):
            self._fit(model, modules, fixed, context)
        asked = self.mixes if is_leader() else ()  # the others would only compute the same scores again
        details = {"mixes": [_scored(model, modules, mix, context) for mix in asked]} if asked else {}
        set_layers(model, successor)
        return State(model=model.eval(), details=details)

    def _fit(self, model: PreTrainedModel, modules: Sequence[Replaceable], fixed: FixedZeros, context: Context) -> None:
        layers = [weight for module in modules for weight in module.successor.parameters()]
        weights = self.parts.of(model, layers=layers)
        module = ReplacementTraining(
            model,
            context.task,
            weights=weights,
            clip=self.parts.clip,
            fixed=fixed,
            modules=modules,
            schedule=self.schedule,
            draws=SharedDraws(context.seed),
            **self.training(context),
        )
        with self.parts.without_needless_gradients(model, weights):
            self.trained(module, context)


def _scored(
    model: PreTrainedModel, modules: Sequence[Replaceable], replaced: Sequence[int], context: Context
) -> dict[str, Any]:
    """The predecessor's scores with some of its modules replaced."""
    with swapped_layers(model, mixed(modules, replaced)):
        return {"replaced": list(replaced), "scores": context.scores(model)}
