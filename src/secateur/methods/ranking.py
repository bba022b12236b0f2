"""Which weights of a matrix to zero: the smallest, or random ones, ranked per matrix or over all matrices together.

A mask is boolean, in the shape of its matrix, and False where the weight is zeroed. Existing zeros rank lowest, so a
mask never revives a weight.

Shapes: O rows of a matrix (outputs), I columns (inputs), G groups of M columns, N weights; in N:M, N of M are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from secateur.errors import SecateurError
from secateur.methods.rounding import rounded_up
from secateur.structure.fixed_zeros import apply_masks, declare_fixed_zeros, layer_patterns, matching, zero_fraction

RANKINGS = ("magnitude", "random")
SCOPES = ("matrix", "global")


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How many weights to zero, and which.

    Attributes:
        sparsity: fraction of zeros, in [0, 1).
        pattern: "N:M" instead of ``sparsity``: of every M consecutive weights of a row, at most N stay.
        ranking: "magnitude" zeroes the smallest; "random" zeroes random ones, as a control.
        scope: "matrix" zeroes the same fraction of every matrix; "global" the smallest of all matrices together.
    """

    sparsity: float | None = None
    pattern: str | None = None
    ranking: str = "magnitude"
    scope: str = "matrix"

    def __post_init__(self) -> None:
        for name, known in (("ranking", RANKINGS), ("scope", SCOPES)):
            if getattr(self, name) not in known:
                raise SecateurError(f"{name}={getattr(self, name)}: must be one of {', '.join(known)}")
        if self.pattern is not None and self.sparsity is not None:
            raise SecateurError(
                f"pattern={self.pattern}: cannot be combined with sparsity={self.sparsity}; set sparsity=null"
            )
        if self.pattern is not None:
            _parsed(self.pattern)
            if self.scope == "global":
                raise SecateurError(f"scope=global: has no effect with pattern={self.pattern}; set scope=matrix")
        elif self.sparsity is None:
            raise SecateurError("sparsity=null: amount to remove not given; set sparsity or method.pattern")
        elif not 0 <= self.sparsity < 1:
            raise SecateurError(f"sparsity={self.sparsity}: must lie in [0, 1)")

    @property
    def target(self) -> float:
        """The fraction of zeros that results."""
        if self.pattern is None:
            assert self.sparsity is not None
            return self.sparsity
        kept, group = _parsed(self.pattern)
        return 1 - kept / group

    def masks(self, groups: Sequence[Sequence[Tensor]], *, seed: int, share: float = 1.0) -> list[Tensor]:
        """The masks, in the order of the matrices, group after group, each in its matrix's shape (O, I).

        Args:
            groups: matrices (O, I); with ``scope="global"`` those of a group are ranked together.
            seed: seed of a random ranking, which is the same for every ``share``.
            share: fraction of the target, in [0, 1]; a larger share keeps a subset of what a smaller one keeps.
        """
        generator = torch.Generator().manual_seed(seed)
        scores = [[self._scores(matrix.detach(), generator) for matrix in group] for group in groups]
        if self.pattern is not None:
            kept, width = _parsed(self.pattern)
            kept = width - rounded_up(share, width - kept)
            return [keep_of_every(score, kept=kept, group=width) for group in scores for score in group]
        ranked = scores if self.scope == "global" else [[score] for group in scores for score in group]
        return [mask for group in ranked for mask in keep_largest(group, sparsity=share * self.target)]

    def _scores(self, matrix: Tensor, generator: torch.Generator) -> Tensor:
        if self.ranking == "magnitude":
            return matrix.abs()
        drawn = 1 - torch.rand(matrix.shape, generator=generator)  # in (0, 1]: 0 is reserved for existing zeros
        return drawn.to(matrix.device) * (matrix != 0)


class Matrices:
    """The matrices of a model that a method prunes: those of the encoder's layers, and others on request.

    Args:
        model: the model.
        include: patterns as in :mod:`secateur.structure.fixed_zeros`; the matrices that they name reach the same
            fraction as a separate group.
    """

    def __init__(self, model: PreTrainedModel, *, include: Iterable[str] = ()) -> None:
        self.patterns = [*layer_patterns(model.config), *include]
        layers = matching(model, layer_patterns(model.config))
        for pattern in include:
            if not matching(model, [pattern]):
                raise SecateurError(
                    f"include={pattern}: the model has no such matrix; give names from the base model, with * for a "
                    "layer's index, such as embeddings.word_embeddings.weight"
                )
        others = {name: weight for name, weight in matching(model, include).items() if name not in layers}
        self.groups = [group for group in (layers, others) if group]
        self.by_name = {**layers, **others}

    @property
    def weights(self) -> list[list[Tensor]]:
        """The matrices of each group; groups are ranked separately."""
        return [list(group.values()) for group in self.groups]

    @property
    def sparsity(self) -> float:
        """Fraction of zeros in the matrices of the encoder's layers."""
        return zero_fraction(self.groups[0].values())

    @property
    def mean_size(self) -> float:
        """The mean of |w| over the non-zero weights in the encoder's layers; 0 if there are none."""
        layers = self.groups[0].values()
        kept = sum(int(weight.count_nonzero()) for weight in layers)
        return sum(weight.detach().abs().sum().item() for weight in layers) / max(kept, 1)

    def check_target(self, sparsity: float) -> None:
        """Reject a sparsity that would revive weights of the encoder's layers.

        Raises:
            SecateurError: if more of them are already zero.
        """
        layers = self.groups[0].values()
        asked = rounded_up(sparsity, sum(weight.numel() for weight in layers))
        if sum(weight.numel() - int(weight.count_nonzero()) for weight in layers) > asked:
            raise SecateurError(
                f"sparsity={sparsity:g}: the model to start from already has {self.sparsity:.4f} zeros; raise it"
            )


def zero_out(model: PreTrainedModel, matrices: Matrices, masks: Sequence[Tensor]) -> None:
    """Zero the weights that ``masks`` close, in place, and declare the zeros fixed."""
    weights = list(matrices.by_name.values())
    apply_masks(
        [weight.data for weight in weights], [mask.to(weight) for weight, mask in zip(weights, masks, strict=True)]
    )
    declare_fixed_zeros(model, matrices.patterns)


def keep_largest(scores: Sequence[Tensor], *, sparsity: float) -> list[Tensor]:
    """Masks, in the shapes of ``scores``, that close the lowest of all scores together.

    They close the fraction ``sparsity``, rounded up to whole weights; ties are closed in order.
    """
    score_N = torch.cat([score.flatten() for score in scores])
    kept_N = _without_lowest(score_N, rounded_up(sparsity, len(score_N)))
    parts = kept_N.split([score.numel() for score in scores])
    return [part.view_as(score) for part, score in zip(parts, scores, strict=True)]


def keep_of_every(score_OI: Tensor, *, kept: int, group: int) -> Tensor:
    """A mask (O, I) that keeps the ``kept`` largest of every ``group`` inputs of a row, also in a short last one."""
    rows, columns = score_OI.shape
    missing = -columns % group
    padded_OGM = functional.pad(score_OI, (0, missing), value=-1.0).reshape(rows, (columns + missing) // group, group)
    best_OGN = padded_OGM.argsort(dim=-1, descending=True, stable=True)[..., :kept]
    mask_OGM = torch.zeros_like(padded_OGM, dtype=torch.bool).scatter_(-1, best_OGN, True)
    return mask_OGM.flatten(1)[:, :columns]


def _without_lowest(score_N: Tensor, count: int) -> Tensor:
    if count == 0:
        return torch.ones_like(score_N, dtype=torch.bool)
    limit = score_N.kthvalue(count).values
    kept_N = score_N > limit
    # Close all scores below the limit, and as many as are still missing of those equal to it.
    missing = count - int((score_N < limit).sum())
    kept_N[(score_N == limit).nonzero().flatten()[missing:]] = True
    return kept_N


def _parsed(pattern: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+):(\d+)", str(pattern))
    kept, group = map(int, match.groups()) if match else (0, 0)
    if not 0 < kept < group:
        raise SecateurError(f'pattern={pattern}: must be "N:M", N of every M weights kept, 0 < N < M, such as "2:4"')
    return kept, group
