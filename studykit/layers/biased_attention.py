"""Attention with a learned additive bias, computed window by window on CPU.

``scaled_dot_product_attention`` has a fused CPU kernel, but not where the bias wants a gradient: there it
falls back to whole score matrices in main memory. Here the fused kernel runs forward for each window, and the
backward pass recomputes one window's scores at a time, while they fit the cache. Where the scores of all
windows fit it together, plain products are quicker than either. Other devices use their own fused kernels,
which do give the bias its gradient. All of them want four axes, in the bias too.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def biased_attention(qkv: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √c + bias + mask) v inside each window.

    >>> qkv, bias = torch.rand(2, 3, 8, 3, 2, 4), torch.zeros(2, 8, 8)  # 3 windows of 8 tokens, 2 heads of 4
    >>> biased_attention(qkv, bias).shape
    torch.Size([2, 3, 8, 2, 4])

    Args:
        qkv: (B, W, N, 3, heads, c), W windows of N tokens; queries, keys and values.
        bias: (heads, N, N), shared by all windows; may want a gradient.
        mask: (W, 1, N, N) of 0 and -inf without gradient, or None; each row sees at least one key.

    Returns:
        (B, W, N, heads, c).
    """
    bias, mask = bias.to(qkv.dtype), None if mask is None else mask.to(qkv.dtype)
    if qkv.device.type != "cpu":
        return _attend_at_once(qkv, bias, mask)
    batch, windows, tokens, _, heads, _ = qkv.shape
    in_cache = batch * windows * heads * tokens**2 <= _CACHED_SCORES
    # In half precision only the fused kernel adds up in fp32.
    return (_attend_plainly if in_cache and qkv.itemsize >= 4 else _attend)(qkv, bias, mask)


def _attend_plainly(qkv: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    batch, windows, tokens, _, heads, channels = qkv.shape
    q, k, v = (x.transpose(2, 3).reshape(-1, tokens, channels) for x in qkv.unbind(3))
    scores = torch.bmm(q * channels**-0.5, k.mT).view(batch, windows, heads, tokens, tokens)
    weights = (scores + (bias if mask is None else bias + mask)).softmax(dim=-1)
    out = torch.bmm(weights.flatten(0, 2), v)
    return out.view(batch, windows, heads, tokens, channels).transpose(2, 3)


def _attend_at_once(qkv: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    full = bias.unsqueeze(0) if mask is None else (bias + mask).repeat(qkv.shape[0], 1, 1, 1)
    out = F.scaled_dot_product_attention(*(x.flatten(0, 1) for x in _heads(qkv)), attn_mask=full)
    return out.transpose(1, 2).unflatten(0, qkv.shape[:2])


# Scores worked on at a time, in numbers: a few megabytes, so that they stay in the cache between operations.
_CACHED_SCORES = 1 << 20

# Channels of a head below which MKL takes a third of the time for xᵀ weightsᵀ that it takes for weights x.
# With that, plain products are as quick as the fused kernel.
_NARROW = 16

Block = tuple[slice, slice]


@torch.library.custom_op("studykit::windowed_attention", mutates_args=())
def _attend(qkv: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = _heads(qkv)
    out = torch.empty(_output_shape(qkv), dtype=qkv.dtype)
    if q.shape[-1] < _NARROW and qkv.itemsize >= 4:
        for here in _blocks(q.shape):
            weights = _weights(q[here] * q.shape[-1] ** -0.5, k[here], bias, mask, here)
            out[here] = _times(weights, v[here]).transpose(2, 3)
        return out
    if mask is None:
        return out.copy_(_attend_at_once(qkv, bias.detach(), None))
    for w in range(q.shape[1]):
        full = (bias + mask[w]).unsqueeze(0)
        out[:, w] = F.scaled_dot_product_attention(q[:, w], k[:, w], v[:, w], attn_mask=full).transpose(1, 2)
    return out


@torch.library.custom_op("studykit::windowed_attention_backward", mutates_args=())
def _attend_backward(
    gradient: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    dqkv = torch.empty(qkv.shape, dtype=qkv.dtype)
    dbias = torch.zeros(bias.shape, dtype=torch.promote_types(bias.dtype, torch.float32))
    (q, k, v), (dq, dk, dv) = _heads(qkv), _heads(dqkv)
    inner = (gradient * out).sum(dim=-1, keepdim=True).transpose(2, 3)
    gradient = gradient.transpose(2, 3)
    scale = q.shape[-1] ** -0.5
    for here in _blocks(q.shape):
        query, key, value, upstream = q[here] * scale, k[here], v[here], gradient[here]
        weights = _weights(query, key, bias, mask, here)
        dv[here] = _times(weights.transpose(-2, -1), upstream)
        score = (upstream @ value.transpose(-2, -1)).sub_(inner[here]).mul_(weights)
        for window in score.flatten(0, 1):
            dbias += window
        dq[here] = _times(score, key).mul_(scale)
        dk[here] = _times(score.transpose(-2, -1), query)
    return dqkv, dbias.to(bias.dtype)


def _weights(query: Tensor, key: Tensor, bias: Tensor, mask: Tensor | None, here: Block) -> Tensor:
    """softmax(query keyᵀ + bias + mask) of a block of windows."""
    scores = (query @ key.transpose(-2, -1)).add_(bias)
    if mask is not None:
        scores += mask[here[1]]
    return scores.softmax(dim=-1)


def _times(weights: Tensor, x: Tensor) -> Tensor:
    """weights x: (..., N, N) and (..., N, c) to (..., N, c); the other way round where heads are narrow."""
    if x.shape[-1] >= _NARROW:
        return weights @ x
    return (x.transpose(-2, -1) @ weights.transpose(-2, -1)).transpose(-2, -1)


def _heads(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, (B, W, heads, N, c) each."""
    return qkv.transpose(2, 4).unbind(3)


def _output_shape(qkv: Tensor) -> tuple[int, ...]:
    return (*qkv.shape[:3], *qkv.shape[4:])


def _blocks(shape: torch.Size) -> Iterator[Block]:
    """Slices over samples and windows, of at most ``_CACHED_SCORES`` scores each, but at least one window.

    Of narrow heads it is half as many: there is less to do for each score, so the cache counts for more.
    """
    batch, windows, heads, tokens, channels = shape
    most = _CACHED_SCORES // 2 if channels < _NARROW else _CACHED_SCORES
    fit = max(most // (heads * tokens * tokens), 1)
    samples = min(fit, batch)
    group = min(max(fit // samples, 1), windows)
    for b in range(0, batch, samples):
        for w in range(0, windows, group):
            yield slice(b, b + samples), slice(w, w + group)


@_attend.register_fake
def _(qkv, bias, mask):
    return torch.empty(_output_shape(qkv), dtype=qkv.dtype, device=qkv.device)


@_attend_backward.register_fake
def _(gradient, qkv, out, bias, mask):
    return tuple(torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (qkv, bias))


def _save(ctx, inputs, output):
    qkv, bias, ctx.mask = inputs
    ctx.save_for_backward(qkv, bias, output)


def _backward(ctx, gradient):
    qkv, bias, out = ctx.saved_tensors
    return (*_attend_backward(gradient, qkv, out, bias, ctx.mask), None)


_attend.register_autograd(_backward, setup_context=_save)
