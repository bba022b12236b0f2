"""One row for each method: what the contract suite needs to know to run it. A new method joins with one row here.

A full cross of methods and architectures would take minutes. What methods do, they do through anatomies, gates and
surgery, or through the layers' matrices; so all methods run on BERT, on every architecture one that scores, and on one
of each anatomy one that trains gates, one that puts other layers in, one that steps on weights and one that takes
layers apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.architectures import ARCHITECTURES
from tests.small_runs import run

ONE_OF_EACH_ANATOMY = ("bert", "distilbert", "roberta")


@dataclass(frozen=True, kw_only=True)
class Row:
    """How to call a method at a size that takes seconds.

    Attributes:
        architecture: the ``model_type`` of the model.
        own_overrides: beside method and architecture.
        reached: figures of the record's structure that must not be below these, and at most 0.05 above.
        phases: the steps that train, where a kill is tried.
        first: overrides of a run that has to be there; its folder takes the place of ``{first}`` in the others.
    """

    name: str
    architecture: str = "bert"
    own_overrides: tuple[str, ...] = ()
    reached: dict[str, float] = field(default_factory=dict)
    phases: tuple[str, ...] = ("recover",)
    first: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What tests are called by."""
        return self.name if self.architecture == "bert" else f"{self.name}-{self.architecture}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that calls it."""
        return (f"method={self.name}", f"model.architecture.model_type={self.architecture}", *self.own_overrides)

    def prepared(self, output: Path) -> Row:
        """The row once the run that has to be there is."""
        if not self.first:
            return self
        _, folder = run(*self.first, output=output)
        return replace(self, own_overrides=tuple(each.format(first=folder) for each in self.own_overrides), first=())


_GAIN = Row(
    name="gain",
    own_overrides=("sparsity=0.5", "distillation=logits"),
    reached={"heads_removed": 0.5, "units_removed": 0.5},
)
_L0 = Row(
    name="l0",
    own_overrides=("sparsity=0.5",),
    reached={"heads_removed": 0.5, "units_removed": 0.5},
    phases=("gate", "recover"),
)

_THIRD = {"layers_removed": 1 / 3, "removed": 1 / 3}
_THESEUS = Row(
    name="theseus",
    own_overrides=("sparsity=0.33", "method.mixes=[[0],[1]]", "method.steps.replace.epochs=1"),
    reached=_THIRD,
    phases=("replace", "recover"),
)
_RPP = Row(
    name="rpp",
    own_overrides=("sparsity=0.6", "method.steps.prune.reweight_every=2"),
    reached={"zeroed": 0.6},
    phases=("prune", "recover"),
)

_DEFORMER = Row(
    name="deformer",
    own_overrides=("sparsity=0.66", "distillation=representation", "method.steps.decompose.epochs=1"),
    reached={"layers_decomposed": 2 / 3, "removed": 0.0},
    phases=("decompose",),
)

_TRUNCATE = Row(
    name="truncate",
    own_overrides=("sparsity=null", "method.layers=2", "distillation=patient", "method.steps.recover.epochs=1"),
    reached=_THIRD,
)
_LAYERDROP = Row(
    name="layerdrop",
    own_overrides=("sparsity=0.33", "method.remove=search", "method.steps.drop.epochs=1"),
    reached=_THIRD,
    phases=("drop", "recover"),
)

_L0_APART = Row(
    name="l0_apart",
    own_overrides=("sparsity=null", "method.budget_heads=3", "method.budget_units=3", "method.threshold=0.5"),
    phases=("gate_heads", "gate_units", "recover"),
)
_GATES = Row(
    name="gates",
    own_overrides=("method.gates={first}",),
    first=("method=random", "sparsity=0.5"),
    reached={"heads_removed": 0.5, "units_removed": 0.5},
)
_HEADS = Row(
    name="heads", own_overrides=("sparsity=0.4",), reached={"heads_removed": 0.4, "units_removed": 0.0}, phases=()
)

METHODS = [
    Row(name="finetune", phases=()),
    Row(name="control", reached={"removed": 0.0}),
    Row(name="random", own_overrides=("sparsity=0.5",), reached={"heads_removed": 0.5, "units_removed": 0.5}),
    _L0_APART,
    replace(_L0_APART, architecture="roberta"),
    _GATES,  # found on BERT, the second time for another architecture
    replace(_GATES, architecture="electra"),
    _HEADS,
    replace(_HEADS, architecture="distilbert"),
    _TRUNCATE,
    replace(_TRUNCATE, architecture="electra"),  # whose embeddings are projected before the first layer
    _LAYERDROP,
    replace(_LAYERDROP, architecture="distilbert"),
    replace(_THESEUS, architecture="electra"),
    Row(name="magnitude", own_overrides=("sparsity=0.6",), reached={"zeroed": 0.6, "removed": 0.0}),
    Row(
        name="nip",
        own_overrides=("sparsity=0.6", "method.steps.prune.update_every=2"),
        reached={"zeroed": 0.6, "removed": 0.0},
        phases=("prune", "recover"),
    ),
    *(replace(_GAIN, architecture=architecture) for architecture in ARCHITECTURES),
    *(
        replace(row, architecture=architecture)
        for row in (_L0, _THESEUS, _RPP, _DEFORMER)
        for architecture in ONE_OF_EACH_ANATOMY
    ),
]
