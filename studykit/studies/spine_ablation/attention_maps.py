"""Where window attention looks, and whether that is where the image has edges."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

from studykit.layers.window_attention import WindowAttention


@dataclass(frozen=True)
class AttentionMap:
    """One layer's attention over its tokens, mean over heads.

    Attributes:
        layer: its name in the network.
        received: (B, d, h, w), what a token gets of the attention of its window, over an equal share: 1 where
            all tokens get the same.
        sharpness: (B, d, h, w), by what the products of queries and keys are multiplied: 1 in plain
            attention.
    """

    layer: str
    received: Tensor
    sharpness: Tensor


@torch.no_grad()
def attention_maps(model: nn.Module, image: Tensor) -> list[AttentionMap]:
    """Maps of every window attention of a network for images (B, C, D, H, W), in the order of its layers.

    Raises:
        ValueError: the network has no window attention.
    """
    inputs: dict[str, tuple[WindowAttention, Tensor]] = {}
    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, WindowAttention)]
    if not layers:
        raise ValueError(f"{type(model).__name__} has no window attention to look at")
    hooks = [
        part.register_forward_pre_hook(lambda part, given, name=name: inputs.update({name: (part, given[0])}))
        for name, part in layers
    ]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return [_looked(name, *inputs[name]) for name, _ in layers]


def attention_weights(layer: WindowAttention, x: Tensor) -> Tensor:
    """softmax(q kᵀ / √c + bias + mask) of tokens (B, d, h, w, C): (B, windows, heads, N, N), row = query."""
    q, k, _ = layer.project(layer.windows.cut(x)).transpose(2, 4).unbind(3)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT + layer.position_bias()
    return (scores if layer.windows.mask is None else scores + layer.windows.mask).softmax(dim=-1)


def _looked(name: str, layer: WindowAttention, x: Tensor) -> AttentionMap:
    windows = layer.windows
    received = attention_weights(layer, x).sum(dim=-2).mean(dim=2)
    sharpness = layer.sharpness(windows.cut(x)).mean(dim=-1)
    maps = [
        windows.join(of_slots.expand(x.shape[0], windows.count, windows.tokens).flatten(1)[..., None])
        for of_slots in (received, sharpness[..., None])
    ]
    return AttentionMap(name, *(each[..., 0] for each in maps))


def edge_strength(image: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean length of the gradient inside each cell of a grid: (B, 1, D, H, W) to (B, d, h, w).

    >>> step = torch.zeros(1, 1, 8, 8, 8)
    >>> step[:, :, 4:] = 1
    >>> edge_strength(step, (4, 4, 4))[0, :, 0, 0].tolist()
    [0.0, 0.25, 0.25, 0.0]
    """
    length = torch.stack(torch.gradient(image[:, 0], dim=(1, 2, 3))).square().sum(dim=0).sqrt()
    return F.adaptive_avg_pool3d(length[:, None], grid)[:, 0]


def edge_correlation(attended: AttentionMap, image: Tensor) -> float:
    """Rank correlation (Spearman) over tokens of attention received and edge strength, mean over images."""
    edges = edge_strength(image, tuple(attended.received.shape[1:]))
    found = [
        spearmanr(one.flatten().numpy(), other.flatten().numpy()).statistic
        for one, other in zip(attended.received, edges, strict=True)
    ]
    return float(sum(found) / len(found))


def central_crop(image: Tensor, size: int) -> Tensor:
    """The middle (1, 1, size, size, size) of a volume (1, D, H, W) that is at least as large."""
    starts = [(side - size) // 2 for side in image.shape[1:]]
    d, h, w = (slice(start, start + size) for start in starts)
    return image[None, :, d, h, w]
