"""Cost of attention on a wavelet's smooth band: operations exactly, time and memory of a step as measured.

Products are counted as in :mod:`studykit.metrics.compute`; the Haar transforms, which are sums, differences
and factors and so do not count there, are added here, one operation each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from studykit.layers.wave_block import WaveBlock
from studykit.layers.wavelets import BANDS
from studykit.metrics.compute import count_flops
from studykit.metrics.step_cost import StepCost, measure_step


@dataclass(frozen=True)
class BlockOperations:
    """Forward operations of one block and sample.

    Attributes:
        places: (D, H, W) places of the map.
        tokens: of its smooth band, which attention sees; at level 0 those of the map.
        parts: operations of ``projections`` (qkv and output), ``attention`` (its two products), ``MLP`` and
            ``transforms``.
    """

    places: int
    tokens: int
    parts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def block_operations(
    size: Sequence[int], dim: int = 48, num_heads: int = 3, *, level: int = 1, details: str = "identity"
) -> BlockOperations:
    """Count a :class:`~studykit.layers.wave_block.WaveBlock` with Haar on a (D, H, W) map.

    Args:
        size, dim, num_heads, level, details: of the block; at level 0 attention sees the whole map.
    """
    block = WaveBlock(size, dim, num_heads, level=level, details=details)
    found = count_flops(block, (1, dim, *size)).by_module
    projections = found["attn.qkv"] + found["attn.proj"]
    parts = {
        "projections": projections,
        "attention": found["attn"] - projections,
        "MLP": found["mlp"],
        "transforms": dim * transform_operations(size, level, details),
    }
    return BlockOperations(math.prod(size), len(block.positions), parts)


def transform_operations(size: Sequence[int], level: int = 1, details: str = "identity") -> int:
    """Operations of the Haar transforms of a block, a channel: forward, gate, and inverse.

    A level of V places takes 4·V: a sum or difference for each along each axis, and a factor once. Its
    inverse takes as many, or V / 8 where the details are zero and each value is repeated over its 2³ places.
    """
    total = 0
    for _ in range(level):
        places = math.prod(n + n % 2 for n in size)
        forward, smooth_inverse = 4 * places, places // 8
        if details == "gate":
            total += forward + len(BANDS) * places // 8 + 4 * places
        else:
            total += (forward + smooth_inverse) * (2 if details == "off" else 1)
        size = [(n + 1) // 2 for n in size]
    return total


def measure_block(
    size: Sequence[int],
    dim: int = 48,
    num_heads: int = 3,
    *,
    level: int = 1,
    details: str = "identity",
    device: str = "cpu",
) -> StepCost:
    """Time and peak memory of forward and backward of the block, in a process of its own.

    Args:
        size, dim, num_heads, level, details: see :func:`block_operations`.
        device: see :func:`~studykit.metrics.step_cost.measure_step`, which also says what is raised.
    """
    build = partial(WaveBlock, tuple(size), dim, num_heads, level=level, details=details)
    return measure_step(build, (1, dim, *size), device)
