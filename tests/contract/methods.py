"""One row for each method: what the contract suite needs to know to run it. A new method joins with one row here.

A full cross of methods and architectures would take minutes. What methods do, they do through anatomies, gates and
surgery; so all methods run on BERT, and one of them, which scores, gates, cuts and recovers, on every architecture.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from secateur.structure.anatomy import ANATOMIES


@dataclass(frozen=True, kw_only=True)
class Row:
    """How to call a method at a size that takes seconds.

    Attributes:
        architecture: the ``model_type`` of the model.
        own_overrides: beside method and architecture.
        reached: figures of the record's structure that must not be below these, and at most 0.05 above.
        phases: the steps that train, where a kill is tried.
    """

    name: str
    architecture: str = "bert"
    own_overrides: tuple[str, ...] = ()
    reached: dict[str, float] = field(default_factory=dict)
    phases: tuple[str, ...] = ("recover",)

    @property
    def id(self) -> str:
        """What tests are called by."""
        return self.name if self.architecture == "bert" else f"{self.name}-{self.architecture}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """All that calls it."""
        return (f"method={self.name}", f"model.architecture.model_type={self.architecture}", *self.own_overrides)


_GAIN = Row(
    name="gain",
    own_overrides=("sparsity=0.5", "distillation=logits"),
    reached={"heads_removed": 0.5, "units_removed": 0.5},
)

METHODS = [
    Row(name="finetune", phases=()),
    Row(name="control", reached={"removed": 0.0}),
    Row(name="random", own_overrides=("sparsity=0.5",), reached={"heads_removed": 0.5, "units_removed": 0.5}),
    Row(name="heads", own_overrides=("sparsity=0.4",), reached={"heads_removed": 0.4, "units_removed": 0.0}, phases=()),
    *(replace(_GAIN, architecture=architecture) for architecture in sorted(ANATOMIES)),
]
