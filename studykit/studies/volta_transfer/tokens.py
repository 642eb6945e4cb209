"""Where a class token looks, and which patches say much the same as one of them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.models.vit import Encoder


@torch.no_grad()
def class_attention(encoder: Encoder, volume: Tensor) -> Tensor:
    """The class token's attention to each patch in the last block: (1, C, D, H, W) to (d, h, w).

    The mean over heads; it sums to one less what the class token gives to itself.
    """
    attention, seen = encoder.blocks[-1].attn, []
    hook = attention.register_forward_hook(lambda module, given, found: seen.append(given[0]))
    encoder(volume)
    hook.remove()
    tokens, heads = seen[0], attention.num_heads
    q, k, _ = attention.qkv(tokens).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    weights = (q[:, :, :1] @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights[0, :, 0, 1:].mean(dim=0).view(grid_of(encoder, volume))


@torch.no_grad()
def token_similarity(encoder: Encoder, volume: Tensor, place: tuple[int, int, int]) -> Tensor:
    """Cosine of each patch token with the one at ``place`` on the grid: (1, C, D, H, W) to (d, h, w).

    The mean token is taken off first, so that 0 is what two patches have in common by chance.
    """
    tokens = encoder(volume)[1][0]
    tokens = F.normalize(tokens - tokens.mean(dim=0), dim=1)
    maps = tokens.view(*grid_of(encoder, volume), -1)
    return maps @ maps[place]


def grid_of(encoder: Encoder, volume: Tensor) -> tuple[int, int, int]:
    """Patches along D, H, W."""
    return tuple(side // encoder.patch_size for side in volume.shape[2:])
