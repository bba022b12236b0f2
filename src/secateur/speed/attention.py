"""Attention for training on the CPU, with or without dropout, registered with transformers.

Shapes: B batch, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from secateur.speed.dropout import is_representable, random_bytes, rescale_of, threshold_of

ATTENTION = "secateur_cpu_training"
"""The name of :func:`training_attention` among the attention implementations of transformers."""


@contextmanager
def use_training_attention(model: nn.Module) -> Iterator[None]:
    """Switch every config in ``model`` that uses sdpa to :func:`training_attention`, and back on exit.

    Configs are collected from all modules, because a layer that was copied out of its model has its own config, which
    the model's ``set_attn_implementation`` does not reach.
    """
    configs = _configs_with(model, "sdpa")
    for config in configs:
        config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        for config in chain(configs, _configs_with(model, ATTENTION)):
            config._attn_implementation = "sdpa"


def training_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute dropout(softmax(scaling · q kᵀ + mask)) v.

    Anything other than bidirectional multi-head attention on the CPU is passed to the sdpa implementation. Without
    dropout, so is everything except bfloat16 that requires gradients: the fused kernel's backward pass is fast in
    float32, but in bfloat16 it takes two to three times as long as the passes here.

    Args:
        module: the calling attention module.
        query: (B, H, Q, D); H may be 0.
        key: (B, H, K, D).
        value: (B, H, K, D).
        attention_mask: None, boolean (True is attended to) or additive, broadcastable to (B, H, Q, K).
        dropout: probability, rounded to 1/256; 0 drops nothing.
        scaling: factor of the scores; D^-0.5 by default.
        kwargs: passed on to the sdpa implementation.

    Returns:
        The output (B, Q, H, D), and None in place of the probabilities.
    """
    is_ours = is_representable(dropout) or (dropout == 0 and _is_differentiated_bfloat16(query))
    if query.device.type != "cpu" or not is_ours or _has_extras(module, attention_mask, kwargs):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    bias = _additive(attention_mask, query)
    return _TrainingAttention.apply(query, key, value, bias, scaling, threshold_of(dropout)), None


AttentionInterface.register(ATTENTION, training_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class _TrainingAttention(Function):
    """Attention computed one example at a time.

    The (H, Q, K) block of one example fits into the processor's cache, where passes over it are several times as fast
    as over the complete batch. Blocks of this size are also reused from the heap, whereas memory for the complete batch
    would be mapped and paged in at every call.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any, q_BHQD: Tensor, k_BHKD: Tensor, v_BHKD: Tensor, bias: Tensor | None, scaling: float, threshold: int
    ) -> Tensor:
        batch, heads, queries, _ = q_BHQD.shape
        out_BQHD = q_BHQD.new_empty(batch, queries, heads, v_BHKD.shape[-1])
        saved = []
        for b in range(batch):
            scores_HQK = _scaled_bmm(q_BHQD[b], k_BHKD[b].mT, scaling)
            if bias is not None:
                scores_HQK += bias[b]
            probs_HQK = torch.softmax(scores_HQK, dim=-1)
            random_HQK = random_bytes(probs_HQK.shape) if threshold else None
            kept_HQK = probs_HQK
            if random_HQK is not None:
                kept_HQK = torch.ge(random_HQK, threshold, out=scores_HQK).mul_(probs_HQK)
            out_BQHD[b] = _scaled_bmm(kept_HQK, v_BHKD[b], rescale_of(threshold)).transpose(0, 1)
            saved += [probs_HQK, random_HQK]
        ctx.save_for_backward(q_BHQD, k_BHKD, v_BHKD, *saved)
        ctx.scaling, ctx.threshold = scaling, threshold
        return out_BQHD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BQHD: Tensor) -> tuple[Tensor | None, ...]:
        q_BHQD, k_BHKD, v_BHKD, *saved = ctx.saved_tensors
        rescale = rescale_of(ctx.threshold)
        grad_q, grad_k, grad_v = (torch.empty_like(x) for x in (q_BHQD, k_BHKD, v_BHKD))
        for b, (probs_HQK, random_HQK) in enumerate(zip(saved[::2], saved[1::2], strict=True)):
            grad_HQD = grad_BQHD[b].transpose(0, 1)
            grad_probs_HQK = _scaled_bmm(grad_HQD, v_BHKD[b].mT, rescale)
            kept_HQK = probs_HQK
            if random_HQK is not None:
                keep_HQK = torch.ge(random_HQK, ctx.threshold, out=torch.empty_like(probs_HQK))
                grad_probs_HQK.mul_(keep_HQK)
                kept_HQK = keep_HQK.mul_(probs_HQK)
            grad_scores_HQK = torch._softmax_backward_data(grad_probs_HQK, probs_HQK, -1, probs_HQK.dtype)
            grad_q[b] = _scaled_bmm(grad_scores_HQK, k_BHKD[b], ctx.scaling)
            grad_k[b] = _scaled_bmm(grad_scores_HQK.mT, q_BHQD[b], ctx.scaling)
            grad_v[b] = _scaled_bmm(kept_HQK.mT, grad_HQD, rescale)
        return grad_q, grad_k, grad_v, None, None, None


def _scaled_bmm(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """scale · left @ right; beta = 0 makes the kernel ignore the uninitialised output."""
    out = left.new_empty(left.shape[0], left.shape[1], right.shape[2])
    return out.baddbmm_(left, right, beta=0, alpha=scale)


def _additive(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """``mask`` as a bias (B, 1 or H, 1 or Q, K); finite, so that a query without any key gives no NaN."""
    if mask is None:
        return None
    lowest = torch.finfo(query.dtype).min
    bias = mask.to(query.dtype)
    bias = (bias - 1) * -lowest if mask.dtype == torch.bool else bias.clamp(min=lowest)
    return bias.expand(query.shape[0], *bias.shape[1:])


def _is_differentiated_bfloat16(query: Tensor) -> bool:
    return query.dtype == torch.bfloat16 and query.requires_grad and torch.is_grad_enabled()


def _has_extras(module: nn.Module, mask: Tensor | None, kwargs: dict[str, Any]) -> bool:
    """Whether the call needs causal or grouped attention, a learned bias, a paged cache or a soft cap."""
    is_causal = kwargs.get("is_causal")
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)  # the default of the sdpa implementation
    is_grouped = getattr(module, "num_key_value_groups", 1) > 1
    is_learned = mask is not None and mask.requires_grad
    others = any(kwargs.get(name) is not None for name in ("position_bias", "cache", "softcap"))
    return is_causal or is_grouped or is_learned or others


def _configs_with(model: nn.Module, implementation: str) -> list[Any]:
    configs: list[Any] = [getattr(module, "config", None) for module in model.modules()]
    return [config for config in configs if getattr(config, "_attn_implementation", None) == implementation]
