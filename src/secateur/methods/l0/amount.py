"""How much to remove: a target that is reached exactly, the paper's price per gate, or a budget for all gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.errors import SecateurError
from secateur.methods.threshold import check_amounts

KINDS = ("heads", "units")


@dataclass(frozen=True, kw_only=True)
class Amount:
    """The amount to remove, given in one of three ways, for heads, for units or for both.

    Attributes:
        sparsity, heads, units, split: fractions to remove, as in :class:`secateur.methods.threshold.Threshold`.
        lambda_heads, lambda_units: λ of McCarley et al. (eq. 3), the price of one open gate in nats, 0 or more.
        budget_heads, budget_units: Λ = λ · (number of gates), the price of all gates of a kind in nats, 0 or more.
        threshold: only with a price: gates are closed in the end if the deterministic gate is at most this.
    """

    sparsity: float | None = None
    heads: float | None = None
    units: float | None = None
    split: str = "separate"
    lambda_heads: float | None = None
    lambda_units: float | None = None
    budget_heads: float | None = None
    budget_units: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_amounts(
            sparsity=self.sparsity, heads=self.heads, units=self.units, split=self.split, otherwise=self._prices
        )
        for name, price in self._given.items():
            if price < 0:
                raise SecateurError(f"{name}={price}: must be 0 nats or more")
            if self.threshold is None:
                raise SecateurError(
                    f"{name}={price}: needs method.threshold, the gate at or below which a head or unit is removed, "
                    "such as 0"
                )
        if self.threshold is not None and self.threshold >= 1:
            raise SecateurError(f"threshold={self.threshold}: must be below 1, the value of a fully open gate")
        for kind in KINDS:
            if {f"lambda_{kind}", f"budget_{kind}"} <= self._given.keys():
                raise SecateurError(
                    f"lambda_{kind}={self._prices[f'lambda_{kind}']}: given as well as budget_{kind}; give only one, "
                    "Λ is λ · gates"
                )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds to remove: "heads", "units" or both."""
        return tuple(kind for kind in KINDS if self.target(kind) is not None or self.price(kind, gates=1) is not None)

    @property
    def joint(self) -> float | None:
        """With ``split="joint"``, the fraction to remove of the weights of heads and units together."""
        return self.sparsity if self.split == "joint" else None

    @property
    def is_priced(self) -> bool:
        """Whether a price is given rather than a target."""
        return bool(self._given)

    def target(self, kind: str) -> float | None:
        """The fraction of this kind's gates to remove."""
        return getattr(self, kind) if self.sparsity is None else self.sparsity

    def targets(self, kinds: Sequence[str]) -> dict[str, float]:
        """The fractions of gates to remove, by the names of the settings that give them."""
        if self.sparsity is not None:
            return {"sparsity": self.sparsity}
        return {kind: target for kind in kinds if (target := self.target(kind)) is not None}

    def price(self, kind: str, *, gates: int) -> float | None:
        """The cost in nats of all ``gates`` of a kind when they are open."""
        per_gate, all_gates = self._prices[f"lambda_{kind}"], self._prices[f"budget_{kind}"]
        return all_gates if per_gate is None else per_gate * gates

    @property
    def _prices(self) -> dict[str, float | None]:
        return {f"{way}_{kind}": getattr(self, f"{way}_{kind}") for way in ("lambda", "budget") for kind in KINDS}

    @property
    def _given(self) -> dict[str, float]:
        return {name: price for name, price in self._prices.items() if price is not None}
