"""Our sparse convolution over visible patches against a masked dense one and MinkowskiEngine's.

Forward and backward, from a dense volume to a dense volume. That all compute the same is held by the tests of
studykit/layers. MinkowskiEngine is left out where it is not installed (``make minkowski``) and on a GPU, as
we have compiled it for the CPU only.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from memory import peak_bytes
from timing import compared, device, is_quick, processor, race, write_result
from torch import Tensor

from studykit.layers import minkowski
from studykit.layers.packed_patches import PackedPatches
from studykit.layers.patch_conv import PatchSparseConv3d

CHANNELS, KERNEL_SIZE, PATCH_SIZE = 32, 3, 8
SETTINGS = ((48, 0.25), (48, 0.06), (96, 0.25), (96, 0.06))
"""Voxels an axis, and the share of visible patches."""

TARGETS = {(48, 0.25): 3.0}
CONTESTANTS = (
    "halo",
    "halo, indices kept",
    "halo, packed",
    "masked dense",
    "MinkowskiEngine, maps anew",
    "MinkowskiEngine, maps kept",
)
PAIRS = (
    ("halo", "masked dense"),
    ("halo", "MinkowskiEngine, maps anew"),
    ("halo", "MinkowskiEngine, maps kept"),
    ("halo, indices kept", "MinkowskiEngine, maps kept"),
    ("halo, packed", "masked dense"),
    ("halo, packed", "MinkowskiEngine, maps kept"),
)
"""Ours and the peer."""

NOTES = (
    f"One convolution of {CHANNELS} to {CHANNELS} channels, kernel {KERNEL_SIZE}³, with bias, of a float32 "
    f"volume (1, {CHANNELS}, n, n, n) of which a share of the {PATCH_SIZE}³ patches is visible, drawn once: "
    "the output, and the gradients at the volume, the kernel and the bias. Where nothing else is said, a "
    "dense volume comes and goes. Ours: visible patches gathered with their halo, by indices worked out each "
    "turn, or kept from the turn before; or packed: visible patches come and go as they do between layers of "
    "our encoder. "
    "Peers: torch's convolution of the zeroed volume with its output zeroed; "
    "MinkowskiEngine 0.5.4 on the CPU, with its maps of sites and pairs looked up each turn, or kept. Peak "
    "memory: the most that torch's allocator holds at once, the volume and the given gradient included, "
    "counted in a process of its own; MinkowskiEngine has buffers outside it."
)

Turn = Callable[[], tuple[Tensor, ...]]


def inputs(size: int, share: float) -> tuple[Tensor, Tensor]:
    """Volume and visible patches, always the same."""
    generator = torch.Generator().manual_seed(0)
    grid = (size // PATCH_SIZE,) * 3
    visible = torch.zeros(grid, dtype=torch.bool).flatten()
    visible[torch.randperm(len(visible), generator=generator)[: round(share * len(visible))]] = True
    x = torch.randn(1, CHANNELS, *(size,) * 3, generator=generator)
    return x.to(device()).requires_grad_(), visible.view(1, *grid).to(device())


def through_packed(layer: PatchSparseConv3d, x: Tensor, packed: PackedPatches) -> Tensor:
    return packed.unpack(layer(packed.pack(x), packed))


def turns(contestant: str, size: int, share: float) -> Turn:
    """Each turn gives the gradients at what comes in, the kernel and the bias, for ones at the output."""
    x, visible = inputs(size, share)
    torch.manual_seed(0)
    backend = "minkowski" if "Minkowski" in contestant else contestant.split(",")[0].replace(" ", "_")
    layer = PatchSparseConv3d(CHANNELS, CHANNELS, KERNEL_SIZE, backend=backend).to(device())
    wanted, gradient = (x, layer.weight, layer.bias), torch.ones_like(x)
    convolution: Callable[[], Tensor] = partial(layer, x, visible)
    if contestant == "halo, packed":
        packed = PackedPatches(visible)
        values = packed.pack(x.detach()).requires_grad_()
        wanted, gradient = (values, layer.weight, layer.bias), torch.ones_like(values)
        convolution = partial(layer, values, packed)
    elif contestant == "halo, indices kept":
        convolution = partial(through_packed, layer, x, PackedPatches(visible))
    elif contestant == "MinkowskiEngine, maps kept":
        maps = minkowski.site_maps(visible, (size,) * 3)
        convolution = partial(minkowski.convolve, x, maps, layer.weight, layer.bias)

    def turn() -> tuple[Tensor, ...]:  # torch counts no operations of gradients that autograd.grad gives
        for leaf in wanted:
            leaf.grad = None
        convolution().backward(gradient)
        return tuple(leaf.grad for leaf in wanted)

    return turn


def pairs() -> tuple[tuple[str, str], ...]:
    """Those of :data:`PAIRS` that can be run here."""
    if minkowski.available() and device().type == "cpu":
        return PAIRS
    print("Without MinkowskiEngine: `make minkowski` installs it, for the CPU only.", flush=True)
    return tuple(pair for pair in PAIRS if "Minkowski" not in pair[1])


def main(quick: bool) -> None:
    rows, found = [], pairs()
    for size, share in SETTINGS:
        names = sorted({name for pair in found for name in pair})
        rounds = 3 if quick else 20 if size == 48 else 5
        contestants = {name: turns(name, size, share) for name in names}
        times = race(contestants, rounds, clock=processor)
        peaks = {n: np.nan if "Minkowski" in n else peak_bytes(partial(turns, n, size, share)) for n in names}
        for ours, peer in found:
            rows.append(
                {"volume": f"{size}³", "visible": f"{share:.0%}", "ours": ours, "peer": peer}
                | compared(times[ours], times[peer], TARGETS.get((size, share), np.nan))
                | {"ours peak (MB)": peaks[ours] / 1e6, "peer peak (MB)": peaks[peer] / 1e6}
            )
    write_result("sparse_conv", rows, NOTES, quick=quick)


if __name__ == "__main__":
    main(is_quick(__doc__))
