"""What the block of the blueprint comes to without a wavelet: attention over averages of 2³ places."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.wave_block import WaveBlock
from studykit.layers.wavelets import BANDS


@torch.no_grad()
def by_pooling(block: WaveBlock, x: Tensor) -> Tensor:
    """A block that passes its details on unchanged, by average pooling: (B, C, D, H, W) with even sides."""
    means = F.avg_pool3d(block.norm1(x), 2)
    tokens = block.attn(means.flatten(2).transpose(1, 2) + block.positions)
    x = x + F.interpolate(tokens.transpose(1, 2).reshape(means.shape), scale_factor=2, mode="nearest")
    return x + block.mlp(block.norm2(x).movedim(1, -1)).movedim(-1, 1)


def pooled_and_back(x: Tensor) -> Tensor:
    """Each value of (B, C, D, H, W) replaced by the mean of its 2³ neighbours."""
    return F.interpolate(F.avg_pool3d(x, 2), scale_factor=2, mode="nearest")


def largest_gap(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference of two tensors of one shape."""
    return float((one - other).detach().abs().max())


def gate_rows(encoder: nn.Module) -> Iterator[dict[str, int | float]]:
    """Mean absolute factor of each gate and band: ``stage``, ``H in the band`` and ``factor``.

    Args:
        encoder: with ``stages`` of blocks; a block without a gate has ``gate`` None.
    """
    for stage, blocks in enumerate(encoder.stages):
        for gate in (block.gate for block in blocks if block.gate is not None):
            factors = gate.detach().abs().mean(dim=(0, 2)).tolist()
            for band, factor in zip(BANDS, factors, strict=True):
                yield {"stage": stage, "H in the band": band.count("d"), "factor": factor}
