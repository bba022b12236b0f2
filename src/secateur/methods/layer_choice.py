"""How many layers to remove, and which: shared by every method that removes layers.

Layers are numbered from 0, as in transformers; Fan et al. (arXiv 1909.11556) count from 1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from secateur.errors import SecateurError
from secateur.methods.rounding import rounded_up

log = logging.getLogger(__name__)

REMOVALS = ("every_other", "first", "last", "middle")
# Rounding up to a whole layer may exceed the requested sparsity by this much without a warning.
TOLERANCE = 0.05


class LayerAmount:
    """How many layers are kept, given in one of three ways.

    Args:
        sparsity: fraction of the layers to remove, in [0, 1), rounded up to whole layers.
        layers: number of layers to keep, at least 1.
        keep: indices of the layers to keep.
    """

    def __init__(
        self, *, sparsity: float | None = None, layers: int | None = None, keep: Sequence[int] | None = None
    ) -> None:
        given = {name: value for name, value in (("layers", layers), ("keep", keep)) if value is not None}
        for name, value in given.items():
            if sparsity is not None:
                raise SecateurError(f"{name}={value}: cannot be combined with sparsity={sparsity}; set sparsity=null")
        if sparsity is None and not given:
            raise SecateurError("sparsity=null: number of layers to remove not given; set sparsity or method.layers")
        if len(given) > 1:
            raise SecateurError(f"keep={keep}: cannot be combined with layers={layers}; give one or the other")
        if layers is not None and layers < 1:
            raise SecateurError(f"layers={layers}: must be at least 1; no layer would be left")
        if keep is not None and (not keep or sorted(set(keep)) != list(keep) or keep[0] < 0):
            raise SecateurError(f"keep={keep}: must be a list of layer indices from 0, ascending, at least one")
        self.sparsity = sparsity
        self.layers = layers
        self.keep = keep

    def check(self, count: int) -> None:
        """Reject, before anything is trained, an amount that does not fit a model of ``count`` layers.

        Raises:
            SecateurError: if no layer would be left, or more than the model has.
        """
        if self.keep is not None and self.keep[-1] >= count:
            raise SecateurError(f"keep={self.keep}: the model's layers are 0 to {count - 1}; keep only these")
        if self.layers is not None and self.layers > count:
            raise SecateurError(f"layers={self.layers}: the model has only {count}; give at most as many")
        if self.sparsity is not None:
            removed = rounded_up(self.sparsity, count)
            if removed == count:
                most = (count - 1) / count
                raise SecateurError(
                    f"sparsity={self.sparsity}: leaves none of {count} layers; give at most {int(most * 100) / 100}"
                )
            if removed / count - self.sparsity > TOLERANCE:
                log.warning(
                    "sparsity=%g: only complete layers are removed, so it is %d of %d layers, which is %.2f",
                    *(self.sparsity, removed, count, removed / count),
                )

    def left_of(self, count: int) -> int:
        """How many of ``count`` layers are kept."""
        if self.keep is not None:
            return len(self.keep)
        return self.layers if self.sparsity is None else count - rounded_up(self.sparsity, count)  # type: ignore[return-value]


def kept_layers(count: int, left: int, *, remove: str) -> list[int]:
    """The indices of the ``left`` layers that are kept of ``count``, ascending.

    Args:
        count: number of layers of the model.
        left: number of layers to keep.
        remove: "every_other" removes layer d, counted from 1, if d ≡ 0 (mod floor(1 / p)), where p is the fraction to
            remove (Fan et al., section 3.2). If this rule does not remove the requested number, as for p > 0.5, where
            it would remove all layers, the kept layers are spread evenly instead, starting with the first. "first",
            "last" and "middle" remove a block.
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
    """Reject an unknown way of choosing layers.

    Raises:
        SecateurError: listing the known ones.
    """
    known = (*REMOVALS, *also)
    if remove not in known:
        raise SecateurError(f"remove={remove}: must be one of {', '.join(known)}")
