"""One row for each method: what the contract suite needs to know to run it. A new method joins with one row here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """How to call a method at a size that takes seconds.

    Attributes:
        overrides: beside ``method=<name>``.
        reached: figures of the record's structure that must not be below these, and at most 0.05 above.
        phases: the steps that train, where a kill is tried.
    """

    name: str
    overrides: tuple[str, ...] = ()
    reached: dict[str, float] = field(default_factory=dict)
    phases: tuple[str, ...] = ("recover",)


METHODS = [
    Row(name="finetune", phases=()),
    Row(name="control", reached={"removed": 0.0}),
    Row(name="random", overrides=("sparsity=0.5",), reached={"heads_removed": 0.5, "units_removed": 0.5}),
    Row(
        name="gain",
        overrides=("sparsity=0.5", "distillation=logits"),
        reached={"heads_removed": 0.5, "units_removed": 0.5},
    ),
]
