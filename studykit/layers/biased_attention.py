"""Attention with a learned additive bias, computed window by window on CPU.

``scaled_dot_product_attention`` has a fused CPU kernel, but not where the bias wants a gradient: there it falls
back to whole score matrices in main memory. Here the fused kernel runs forward for each window, and the
backward pass recomputes one window's scores at a time, while they fit the cache. Other devices use their own
fused kernels, which do give the bias its gradient.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √c + bias + mask) v inside each window.

    Args:
        q, k, v: (B, W, heads, N, c), W windows of N tokens.
        bias: (heads, N, N), shared by all windows; may want a gradient.
        mask: (W, 1, N, N) of 0 and -inf without gradient, or None; each row sees at least one key.

    Returns:
        (B, W, heads, N, c).
    """
    if q.device.type == "cpu" and bias.requires_grad and torch.is_grad_enabled():
        return _attend(q, k, v, bias.to(q.dtype), None if mask is None else mask.to(q.dtype))
    full = bias if mask is None else bias + mask
    return F.scaled_dot_product_attention(q, k, v, attn_mask=full.to(q.dtype))


# Scores worked on at a time, in numbers: a few megabytes, so that they stay in the cache between operations.
_CACHED_SCORES = 1 << 20


@torch.library.custom_op("studykit::windowed_attention", mutates_args=())
def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        flat = (x.flatten(0, 1) for x in (q, k, v))
        return F.scaled_dot_product_attention(*flat, attn_mask=bias).contiguous().view(q.shape)
    out = torch.empty(q.shape, dtype=q.dtype)
    for w in range(q.shape[1]):
        out[:, w] = F.scaled_dot_product_attention(q[:, w], k[:, w], v[:, w], attn_mask=bias + mask[w])
    return out


@torch.library.custom_op("studykit::windowed_attention_backward", mutates_args=())
def _attend_backward(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, bias: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dq, dk, dv = (torch.empty(q.shape, dtype=q.dtype) for _ in range(3))
    dbias = torch.zeros(bias.shape, dtype=torch.promote_types(bias.dtype, torch.float32))
    scale = q.shape[-1] ** -0.5
    inner = (gradient * out).sum(dim=-1, keepdim=True)
    for here in _blocks(q.shape):
        query, key, value, upstream = q[here] * scale, k[here], v[here], gradient[here]
        weights = (query @ key.transpose(-2, -1)).add_(bias)
        if mask is not None:
            weights += mask[here[1]]
        weights = weights.softmax(dim=-1)
        dv[here] = weights.transpose(-2, -1) @ upstream
        score = (upstream @ value.transpose(-2, -1)).sub_(inner[here]).mul_(weights)
        dbias += score.sum(dim=(0, 1))
        dq[here] = (score @ key).mul_(scale)
        dk[here] = score.transpose(-2, -1) @ query
    return dq, dk, dv, dbias.to(bias.dtype)


def _blocks(shape: torch.Size) -> Iterator[tuple[slice, slice]]:
    """Slices over samples and windows, each with at most ``_CACHED_SCORES`` scores, but at least one window."""
    batch, windows, heads, tokens, _ = shape
    fit = max(_CACHED_SCORES // (heads * tokens * tokens), 1)
    samples = min(fit, batch)
    group = min(max(fit // samples, 1), windows)
    for b in range(0, batch, samples):
        for w in range(0, windows, group):
            yield slice(b, b + samples), slice(w, w + group)


@_attend.register_fake
def _(q, k, v, bias, mask):
    return torch.empty(q.shape, dtype=q.dtype, device=q.device)


@_attend_backward.register_fake
def _(gradient, q, k, v, out, bias, mask):
    return tuple(torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v, bias))


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:4], output)
    ctx.mask = inputs[4]


def _backward(ctx, gradient):
    q, k, v, bias, out = ctx.saved_tensors
    return (*_attend_backward(gradient, q, k, v, out, bias, ctx.mask), None)


_attend.register_autograd(_backward, setup_context=_save)
