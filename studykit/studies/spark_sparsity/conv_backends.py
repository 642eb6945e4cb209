"""Time of one masked convolution, forward and backward, by each backend, measured in turn in one process.

MinkowskiEngine takes part where it is installed. What it looks up for a mask, and the indices of our own
backend, are worked out at each turn, or once beforehand: a network shares them among the layers of a
resolution, so its cost lies between the two.
"""

import copy
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from studykit.layers import minkowski
from studykit.layers.packed_patches import PackedPatches
from studykit.layers.patch_conv import PatchSparseConv3d

CHANNELS, KERNEL_SIZE, PATCH_SIZE = 32, 3, 8
DENSE, HALO, MINKOWSKI = "masked dense", "halo", "MinkowskiEngine"
KEPT = "{}, indices kept"

Turn = Callable[[], tuple[Tensor, ...]]


def masked_volume(side: int, share: float, channels: int = CHANNELS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A random volume (1, C, side, side, side), and which of its patches are visible: bool (1, d, h, w).

    Args:
        side: voxels an axis, a multiple of the patch.
        share: of visible patches, rounded to whole ones, at least one.
    """
    generator = torch.Generator().manual_seed(seed)
    grid = (side // PATCH_SIZE,) * 3
    order = torch.randperm(grid[0] ** 3, generator=generator)
    visible = order < max(round(share * len(order)), 1)
    return torch.randn(1, channels, *(side,) * 3, generator=generator), visible.view(1, *grid)


def turns(side: int, share: float) -> dict[str, Turn]:
    """The contestants, each giving gradients at the volume, the kernel and the bias, for ones at the output.

    All read the same volume and have the same weights; each takes a dense volume and gives one.

    Args:
        side, share: see :func:`masked_volume`.
    """
    x, visible = masked_volume(side, share)
    x.requires_grad_()
    backends = {DENSE: "masked_dense", HALO: "halo"}
    if minkowski.available():
        backends[MINKOWSKI] = "minkowski"
    layer = PatchSparseConv3d(CHANNELS, CHANNELS, KERNEL_SIZE)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(1))
    own: dict[str, Turn] = {}
    for name, backend in backends.items():
        twin = copy.deepcopy(layer)
        twin.backend = backend
        own[name] = partial(_gradients, partial(twin, x, visible), x, twin)
        if name == HALO:
            kept = partial(_through_packed, twin, x, PackedPatches(visible))
            own[KEPT.format(name)] = partial(_gradients, kept, x, twin)
        elif name == MINKOWSKI:
            maps = minkowski.site_maps(visible, (side,) * 3)
            kept = partial(minkowski.convolve, x, maps, twin.weight, twin.bias)
            own[KEPT.format(name)] = partial(_gradients, kept, x, twin)
    return own


def race(
    contestants: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, on the CPU.

    Each round gives everyone one turn, so that what slows the machine for a while slows all of them, and the
    times of a round are paired.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for index in range(-warm_up, rounds):
        for name, turn in contestants.items():
            start = time.perf_counter()
            turn()
            if index >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _gradients(convolution: Callable[[], Tensor], x: Tensor, layer: PatchSparseConv3d) -> tuple[Tensor, ...]:
    output = convolution()
    return torch.autograd.grad(output, (x, layer.weight, layer.bias), torch.ones_like(output))


def _through_packed(layer: PatchSparseConv3d, x: Tensor, packed: PackedPatches) -> Tensor:
    return packed.unpack(layer(packed.pack(x), packed))
