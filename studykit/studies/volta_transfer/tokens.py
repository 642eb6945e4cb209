"""What teacher and student see, where a class token looks, and which patches say much the same."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor

from studykit.data.volumes.tensors import xyz_array
from studykit.methods.volta import Volta
from studykit.models.vit import Encoder


def views_shown(method: Volta, crops: Tensor, seed: int = 1) -> dict[str, dict[str, NDArray]]:
    """What teacher and student see of the first crop, each a list of views (X, Y, Z) by name.

    Args:
        method: with local views.
        crops: (B, 1, D, H, W).
        seed: draws views and what is replaced in them.
    """
    drawn = method.draw_masks(len(crops), torch.Generator().manual_seed(seed), crops)
    (clean, seen), (_, local) = method.shown(crops, drawn)
    shown = {"teacher": clean[:, 0], "student": seen[:, 0], "student, local": local[:, 0]}
    return {
        name: {f"view {place}": xyz_array(view[0]) for place, view in enumerate(views, start=1)}
        for name, views in shown.items()
    }


def middle_of(labels: ArrayLike, label: int, crop_size: int) -> NDArray:
    """The voxel (X, Y, Z) in the middle of a structure, of its larger side where it has two.

    In voxels of a crop around its volume's middle.

    Args:
        labels: (X, Y, Z) of the volume, which may be smaller than the crop.

    >>> labels = np.zeros((4, 4, 4)); labels[1, 2, 3] = 5
    >>> middle_of(labels, 5, 6).tolist()
    [2, 3, 4]
    """
    labels = np.asarray(labels)
    parts, _ = ndimage.label(labels == label)
    side = np.argwhere(parts == np.bincount(parts[parts > 0]).argmax())
    nearest = side[np.square(side - side.mean(axis=0)).sum(axis=1).argmin()]
    return nearest + (crop_size - np.array(labels.shape)) // 2


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
