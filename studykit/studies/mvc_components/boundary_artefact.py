"""Patch-boundary artefact index: how much a reconstruction jumps at patch faces, against its original."""

import torch
from torch import Tensor


def boundary_artefact_index(
    reconstruction: Tensor, original: Tensor, patch_size: int, mask: Tensor | None = None
) -> Tensor:
    """Jump across patch faces over jump inside patches, relative to the original's.

    A jump is the absolute difference of two neighbouring voxels along an axis. With r the mean jump between
    voxels of two patches over the mean jump between voxels of one patch, the index is r of the
    reconstruction over r of the original. It is 1 for the original at any brightness and contrast, near 1 for
    a reconstruction that is as smooth across faces as inside patches, and above 1 where seams show.

    Args:
        reconstruction, original: (B, C, D, H, W).
        patch_size: voxels an axis.
        mask: bool (B, d, h, w) on the patch grid, ``True`` = reconstructed. With it, only pairs with a voxel
            in such a patch count, so that visible patches pasted from the original do not dilute the index.

    Returns:
        float64 (B,), one index a volume; infinite where a reconstruction jumps at faces and nowhere inside,
        NaN where it has no jump at all.

    Raises:
        ValueError: shapes that differ or do not fit the patches, an axis without a face or without an
            inside, or an original without any jump at faces or inside.
    """
    _check(reconstruction, original, patch_size, mask)
    own = _jump_ratio(reconstruction, patch_size, mask)
    reference = _jump_ratio(original, patch_size, mask)
    flat = ~((reference > 0) & reference.isfinite())
    if flat.any():
        raise ValueError(
            f"Originals {flat.nonzero().flatten().tolist()} of the batch are flat at patch faces or inside "
            "patches where the index looks: leave them out."
        )
    return own / reference


def _jump_ratio(volume: Tensor, patch_size: int, mask: Tensor | None) -> Tensor:
    """(B, C, D, H, W) to (B,): mean jump across faces over mean jump inside patches."""
    volume = volume.double()
    if mask is None:
        counted = torch.ones_like(volume[:, :1], dtype=torch.bool)
    else:
        counted = mask[:, None]
        for axis in (2, 3, 4):
            counted = counted.repeat_interleave(patch_size, dim=axis)
    sums = {where: volume.new_zeros(volume.shape[0]) for where in ("across", "inside")}
    pairs = dict(sums)
    for axis in (2, 3, 4):
        n = volume.shape[axis]
        jumps = volume.diff(dim=axis).abs().mean(dim=1, keepdim=True)
        seen = counted.narrow(axis, 0, n - 1) | counted.narrow(axis, 1, n - 1)
        last = torch.arange(n - 1, device=volume.device) % patch_size == patch_size - 1
        for where, index in (("across", last), ("inside", ~last)):
            index = index.nonzero().flatten()
            weight = seen.index_select(axis, index).flatten(1).double()
            sums[where] = sums[where] + (jumps.index_select(axis, index).flatten(1) * weight).sum(1)
            pairs[where] = pairs[where] + weight.sum(1)
    across, inside = (sums[where] / pairs[where] for where in ("across", "inside"))
    return across / inside


def _check(reconstruction: Tensor, original: Tensor, patch_size: int, mask: Tensor | None) -> None:
    if reconstruction.shape != original.shape or original.ndim != 5:
        raise ValueError(
            f"reconstruction and original must have one shape (B, C, D, H, W), got "
            f"{tuple(reconstruction.shape)} and {tuple(original.shape)}."
        )
    size = tuple(original.shape[2:])
    if patch_size < 2 or any(n % patch_size or n == patch_size for n in size):
        raise ValueError(
            f"Volumes of {size} voxels need patches of at least 2 voxels an axis, and two or more patches "
            f"along each; got patches of {patch_size}³."
        )
    grid = tuple(n // patch_size for n in size)
    if mask is not None and tuple(mask.shape) != (original.shape[0], *grid):
        raise ValueError(f"mask must be {(original.shape[0], *grid)}, got {tuple(mask.shape)}.")
