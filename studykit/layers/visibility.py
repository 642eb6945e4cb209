"""Maps of which some patches are hidden: the patches' flags at a map's size, zeros and statistics by them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from studykit.layers.packed_patches import PackedPatches, flags
from studykit.masking import upsample_mask


def visible_at(visible: Tensor | PackedPatches, size: Sequence[int]) -> Tensor:
    """Repeat each patch's flag over its places on a map.

    >>> visible = torch.tensor([True, False]).view(1, 1, 1, 2)
    >>> visible_at(visible, (1, 1, 4)).flatten().tolist()
    [True, True, False, False]

    Args:
        visible: bool (B, d, h, w), ``True`` = visible, or its packing.
        size: (D, H, W) of the map, a multiple of (d, h, w).

    Returns:
        bool (B, 1, D, H, W).

    Raises:
        ValueError: the map's size is no multiple of the patch grid.
    """
    visible = flags(visible)
    grid = tuple(visible.shape[1:])
    if len(grid) != 3 or any(n % g for n, g in zip(size, grid, strict=True)):
        raise ValueError(f"A map of {tuple(size)} does not divide into the patch grid {grid} of the mask.")
    return upsample_mask(visible, [n // g for n, g in zip(size, grid, strict=True)])


def hide(x: Tensor, visible: Tensor | PackedPatches | None) -> Tensor:
    """Zeros at hidden places, whatever stood there.

    >>> hide(torch.ones(1, 1, 1, 1, 4), torch.tensor([True, False]).view(1, 1, 1, 2)).flatten()
    tensor([1., 1., 0., 0.])

    Args:
        x: float (B, C, D, H, W).
        visible: as for :func:`visible_at`, or None if nothing is hidden.
    """
    return x if visible is None else x.masked_fill(~visible_at(visible, x.shape[2:]), 0.0)


def instance_norm(x: Tensor, visible: Tensor | PackedPatches | None = None, eps: float = 1e-5) -> Tensor:
    """Each sample's channels to mean 0 and variance 1 over the visible places; hidden ones become 0.

    >>> x = torch.tensor([1.0, 3.0, 100.0, 100.0]).view(1, 1, 1, 1, 4)
    >>> instance_norm(x, torch.tensor([True, False]).view(1, 1, 1, 2)).flatten()
    tensor([-1.0000,  1.0000,  0.0000,  0.0000])

    Args:
        x, visible: as for :func:`hide`.
        eps: added to the variance.
    """
    if visible is None:
        return F.instance_norm(x, eps=eps)
    places = (2, 3, 4)
    count = visible_at(visible, x.shape[2:]).sum(places, keepdim=True).clamp(min=1)
    values = hide(x.float() if x.dtype in (torch.bfloat16, torch.float16) else x, visible)
    centred = hide(values - values.sum(places, keepdim=True) / count, visible)
    variance = centred.square().sum(places, keepdim=True) / count
    return (centred * (variance + eps).rsqrt()).to(x.dtype)
