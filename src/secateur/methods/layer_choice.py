"""How many layers go, and which: what every method that removes layers shares.

Layers are numbered from 0, as in the code of transformers; Fan et al. (arXiv 1909.11556) count from 1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from secateur.errors import SecateurError
from secateur.methods.rounding import rounded_up

log = logging.getLogger(__name__)

REMOVALS = ("every_other", "first", "last", "middle")
# The next whole layer may lie this much above the sparsity that was asked for, before it is worth a warning.
TOLERANCE = 0.05


class LayerAmount:
    """How many layers are left, said in one of three ways.

    Args:
        sparsity: fraction of the layers that go, in [0, 1); the smallest number not below it.
        layers: number of layers that stay, at least 1.
        keep: the layers that stay, by number.
    """

    def __init__(
        self, *, sparsity: float | None = None, layers: int | None = None, keep: Sequence[int] | None = None
    ) -> None:
        given = {name: value for name, value in (("layers", layers), ("keep", keep)) if value is not None}
        for name, value in given.items():
            if sparsity is not None:
                raise SecateurError(f"{name}={value}: goes with sparsity=null, not with sparsity={sparsity}")
        if sparsity is None and not given:
            raise SecateurError("sparsity=null: say how many layers go, by sparsity or method.layers")
        if len(given) > 1:
            raise SecateurError(f"keep={keep}: goes without layers={layers}; give one or the other")
        if layers is not None and layers < 1:
            raise SecateurError(f"layers={layers}: must be at least 1: no layer would be left")
        if keep is not None and (not keep or sorted(set(keep)) != list(keep) or keep[0] < 0):
            raise SecateurError(f"keep={keep}: must be numbers of layers from 0, ascending, at least one")
        self.sparsity = sparsity
        self.layers = layers
        self.keep = keep

    def check(self, count: int) -> None:
        """Refuse, before anything is trained, what a model of ``count`` layers cannot do.

        Raises:
            SecateurError: if no layer would be left, or more than there are.
        """
        if self.keep is not None and self.keep[-1] >= count:
            raise SecateurError(f"keep={self.keep}: the model's layers are 0 to {count - 1}")
        if self.layers is not None and self.layers > count:
            raise SecateurError(f"layers={self.layers}: the model has {count}; ask for at most as many")
        if self.sparsity is not None:
            removed = rounded_up(self.sparsity, count)
            if removed == count:
                most = (count - 1) / count
                raise SecateurError(
                    f"sparsity={self.sparsity}: leaves none of {count} layers; ask for at most {int(most * 100) / 100}"
                )
            if removed / count - self.sparsity > TOLERANCE:
                log.warning(
                    "sparsity=%g: layers go whole, so %d of %d go, which is %.2f",
                    *(self.sparsity, removed, count, removed / count),
                )

    def left_of(self, count: int) -> int:
        """How many of ``count`` layers stay."""
        if self.keep is not None:
            return len(self.keep)
        return self.layers if self.sparsity is None else count - rounded_up(self.sparsity, count)  # type: ignore[return-value]


def kept_layers(count: int, left: int, *, remove: str) -> list[int]:
    """The numbers of the ``left`` layers that stay of ``count``, ascending.

    Args:
        remove: "every_other" takes out layer d, counted from 1, where d ≡ 0 (mod floor(1 / p)) for the fraction p that
            goes (Fan et al., section 3.2); where that is not as many as are to go, as for p > 0.5, of which it would
            leave nothing, it spreads what stays evenly, with the first layer among it. "first", "last" and "middle"
            take out a block.
    """
    gone = count - left
    if remove == "every_other":
        by_rule = [number for number in range(count) if gone == 0 or (number + 1) % (count // gone)]
        return by_rule if len(by_rule) == left else [number * count // left for number in range(left)]
    if remove == "middle":
        before = -(-left // 2)
        return [*range(before), *range(before + gone, count)]
    begin = gone if remove == "first" else 0
    return list(range(begin, begin + left))


def check_removal(remove: str, *, also: Sequence[str] = ()) -> None:
    """Refuse an unknown way of choosing.

    Raises:
        SecateurError: listing those that there are.
    """
    known = (*REMOVALS, *also)
    if remove not in known:
        raise SecateurError(f"remove={remove}: must be one of {', '.join(known)}")
