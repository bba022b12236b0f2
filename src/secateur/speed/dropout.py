"""Dropout that compares random bytes with a threshold: eight mask elements per draw of torch's generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_LEVELS = 256  # one random byte decides on one element
_INT64_MIN = torch.iinfo(torch.int64).min


@contextmanager
def use_fast_dropout(model: nn.Module) -> Iterator[None]:
    """Turn every ``nn.Dropout`` of ``model`` into a :class:`FastDropout`, and back on exit.

    Only the class of the module objects changes, so their hooks and references to them stay valid. In-place dropouts
    are left alone.
    """
    swapped = [module for module in _of_class(nn.Dropout, model.modules()) if not module.inplace]
    for module in swapped:
        module.__class__ = FastDropout
    try:
        yield
    finally:
        # By now the model may contain copies of swapped modules, or no longer contain the originals.
        for module in _of_class(FastDropout, chain(swapped, model.modules())):
            module.__class__ = nn.Dropout


class FastDropout(nn.Dropout):
    """``nn.Dropout`` through :func:`fast_dropout` on the CPU; elsewhere, and for p near 0 or 1, the stock one."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Dropout's name for it
        """Drop elements of ``input`` (any shape) in training; return it unchanged in evaluation."""
        if self.training and input.device.type == "cpu" and is_representable(self.p):
            return fast_dropout(input, self.p)
        return super().forward(input)


def fast_dropout(x: Tensor, p: float) -> Tensor:
    """Set each element of ``x`` (any shape) to zero with probability round(256 p) / 256, and rescale the others.

    The scale matches the rounded probability, so the expectation is exactly ``x``. The number of draws from torch's
    global CPU generator depends only on the shape of ``x``.

    Args:
        x: a tensor on the CPU of any floating dtype and shape.
        p: a probability for which :func:`is_representable` is true.
    """
    return _FastDropout.apply(x, threshold_of(p))


def is_representable(p: float) -> bool:
    """Whether ``p``, rounded to 1/256, neither keeps nor drops everything."""
    return 0 < threshold_of(p) < _LEVELS


def threshold_of(p: float) -> int:
    """The byte below which an element is dropped."""
    return round(p * _LEVELS)


def rescale_of(threshold: int) -> float:
    """The factor by which the kept elements are multiplied."""
    return _LEVELS / (_LEVELS - threshold)


def random_bytes(shape: torch.Size) -> Tensor:
    """Independent uniform bytes (uint8, of this shape) from torch's global CPU generator."""
    count = shape.numel()
    # From the minimum on: otherwise the sign bit would always be 0, and every eighth byte below 128.
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(_INT64_MIN, None)
    return words.view(torch.uint8)[:count].view(shape)


class _FastDropout(Function):
    """Keeps one byte per element for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        random = random_bytes(x.shape)
        ctx.save_for_backward(random)
        ctx.threshold = threshold
        return _drop(x, random, threshold)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (random,) = ctx.saved_tensors
        return _drop(grad, random, ctx.threshold), None


def _drop(x: Tensor, random: Tensor, threshold: int) -> Tensor:
    """Drop and rescale; the comparison writes the dtype of ``x``, as a boolean mask or ``where`` is far slower."""
    keep = torch.ge(random, threshold, out=torch.empty(x.shape, dtype=x.dtype))
    return torch.addcmul(x.new_zeros(()), x, keep, value=rescale_of(threshold))


def _of_class(kind: type[nn.Module], modules: Iterable[nn.Module]) -> list[Any]:
    """The modules of exactly this class."""
    return [module for module in modules if type(module) is kind]
