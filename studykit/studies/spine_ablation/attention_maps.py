"""Where window attention looks: what each token receives, how sharp each query is, as maps of each block."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from studykit.layers.window_attention import WindowAttention

WINDOWS_AT_ONCE = 32
"""Windows whose weights are held at a time."""


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of one block on some images; maps are (B, heads, d, h, w) on the block's grid.

    Attributes:
        block: dotted name of the attention in its model, in forward order.
        received: weights on a token, summed over the tokens of its window. Over a grid without padding it is
            1 on average; plain attention that knows no place gives 1 everywhere.
        entropy: of the weights of a token's query, in nats.
        sharpness: by what the products of a token's query and all keys were multiplied; 1 in plain attention,
            one over the temperature elsewhere.
    """

    block: str
    received: Tensor
    entropy: Tensor
    sharpness: Tensor


@torch.no_grad()
def attention_maps(model: nn.Module, images: Tensor) -> list[AttentionMaps]:
    """Maps of every window attention that a model runs on images (B, C, D, H, W), in the order it does.

    Blocks of other kinds, such as skip attention, are left out.
    """
    maps: list[AttentionMaps] = []
    hooks = [
        module.register_forward_pre_hook(
            lambda attention, inputs, name=name: maps.append(_maps_of(name, attention, inputs[0]))
        )
        for name, module in model.named_modules()
        if isinstance(module, WindowAttention)
    ]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def _maps_of(name: str, attention: WindowAttention, x: Tensor) -> AttentionMaps:
    windows, heads = attention.windows, attention.num_heads
    slots = windows.cut(x)
    q, k, _ = attention.project(slots).transpose(2, 4).unbind(3)  # (B, W, heads, N, c) each
    bias, real = attention.position_bias(), windows.real_slots().view(windows.count, 1, windows.tokens, 1)
    received, entropy = (q.new_zeros(q.shape[:-1]) for _ in range(2))
    for first in range(0, windows.count, WINDOWS_AT_ONCE):
        here = slice(first, first + WINDOWS_AT_ONCE)
        scores = q[:, here] @ k[:, here].mT * q.shape[-1] ** -0.5 + bias
        if windows.mask is not None:
            scores = scores + windows.mask[here]
        log_weights = scores.log_softmax(dim=-1)
        weights = log_weights.exp()
        received[:, here] = (weights * real[here]).sum(-2)
        entropy[:, here] = -torch.where(weights > 0, weights * log_weights, 0.0).sum(-1)
    sharpness = attention.sharpness(slots).unsqueeze(-1).expand(x.shape[0], windows.count, heads, -1)
    sharpness = sharpness.expand(-1, -1, -1, windows.tokens)
    return AttentionMaps(name, *(_on_grid(attention, m) for m in (received, entropy, sharpness)))


def _on_grid(attention: WindowAttention, slots: Tensor) -> Tensor:
    """(B, W, heads, N) to (B, heads, d, h, w)."""
    return attention.windows.join(slots.transpose(2, 3).flatten(1, 2)).permute(0, 4, 1, 2, 3)
