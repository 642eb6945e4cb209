"""A sparse convolution by MinkowskiEngine 0.5.4 (Choy, Gwak, Savarese 2019), behind our own call.

The engine looks up the pairs of input and output sites of each place of the kernel in a hash table, and
multiplies them place by place. ``make minkowski`` compiles it for the CPU; there it takes float32 and
float64, and sums in an order that changes with its threads, so results repeat to rounding only. It can be
compiled for CUDA too, which we have not tried.
"""

import collections
import collections.abc
import importlib.util
import os
import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from studykit.layers.visibility import visible_at

Size = tuple[int, int, int]


def available() -> bool:
    """Whether MinkowskiEngine is installed."""
    return importlib.util.find_spec("MinkowskiEngine") is not None


@cache
def engine() -> ModuleType:
    """The imported package.

    Three things are arranged for the import alone. The engine takes ``Sequence`` from ``collections``, where
    Python keeps it no more. OpenBLAS is to work in one thread, as it is called for many small products: it
    reads ``OPENBLAS_NUM_THREADS`` when it is loaded, and a value set from outside stands. And the warning
    that this is a build for the CPU is known.

    Raises:
        RuntimeError: it is not installed; the message says how it comes to be.
    """
    if not available():
        raise RuntimeError(
            "MinkowskiEngine is not installed in this environment: `make minkowski` compiles it once, in "
            "about five minutes, and installs it. backend='halo' computes the same without it."
        )
    sequence = getattr(collections, "Sequence", None)
    threads = os.environ.get("OPENBLAS_NUM_THREADS")
    collections.Sequence = collections.abc.Sequence
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The MinkowskiEngine was compiled with CPU_ONLY", UserWarning)
            import MinkowskiEngine
    finally:
        if sequence is None:
            del collections.Sequence
        else:
            collections.Sequence = sequence
        if threads is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
    return MinkowskiEngine


@dataclass(frozen=True)
class SiteMaps:
    """Where a convolution reads and where it writes, for one mask and one stride.

    It serves any number of convolutions; the engine keeps in it the pairs of sites of each kernel size.

    Attributes:
        inputs: long (4, N), the visible sites: sample, and place along D, H, W.
        outputs: long (4, M), the visible sites of the output.
        shape: (B, D', H', W') of the output.
        stride: voxels from an output site to the next.
        manager: the engine's coordinate manager.
        input_key: the engine's key of ``inputs``.
        output_key: that of ``outputs``.
    """

    inputs: Tensor
    outputs: Tensor
    shape: tuple[int, int, int, int]
    stride: int
    manager: Any
    input_key: Any
    output_key: Any


def site_maps(visible: Tensor, size: Size, stride: int = 1) -> SiteMaps:
    """Look up the sites of the visible patches.

    Args:
        visible: bool (B, d, h, w), ``True`` = visible; one patch at least.
        size: (D, H, W) of the input; the output has ⌈D / stride⌉, … sites, and both are whole patches.

    Raises:
        RuntimeError: MinkowskiEngine is not installed.
        ValueError: an axis of the input or of the output is no multiple of its patches; nothing is visible.
    """
    manager = engine().CoordinateManager(D=3)
    output_size = tuple(-(-n // stride) for n in size)
    inputs, outputs = _sites(visible, size), _sites(visible, output_size)
    if inputs.shape[1] == 0:
        raise ValueError("no patch is visible: there is nothing to look up")
    input_key, _ = manager.insert_and_map(_coordinates(inputs, 1), 1)
    output_key = input_key
    if stride != 1:
        output_key, _ = manager.insert_and_map(_coordinates(outputs, stride), stride)
    return SiteMaps(inputs, outputs, (len(visible), *output_size), stride, manager, input_key, output_key)


def convolve(x: Tensor, maps: SiteMaps, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """:func:`minkowski_conv3d` where the maps are at hand, from the same mask, size and stride."""
    library = engine()
    from MinkowskiEngineBackend._C import ConvolutionMode

    out_channels, _, kernel_size = weight.shape[:3]
    # The engine counts the places of the kernel with its first spatial axis running fastest.
    kernel = weight.permute(4, 3, 2, 1, 0).flatten(0, 2).contiguous()
    batch, *places = maps.inputs
    rows = library.MinkowskiConvolutionFunction.apply(
        x.movedim(1, -1)[batch, *places],
        kernel,
        library.KernelGenerator(kernel_size=kernel_size, stride=maps.stride, dimension=3),
        ConvolutionMode.DEFAULT,
        maps.input_key,
        maps.output_key,
        maps.manager,
    )
    if bias is not None:
        rows = rows + bias
    dense = rows.new_zeros(*maps.shape, out_channels).index_put(tuple(maps.outputs), rows)
    return dense.movedim(-1, 1).contiguous()


def minkowski_conv3d(
    x: Tensor, visible: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1
) -> Tensor:
    """Convolve the visible sites of ``x``; hidden ones count as zero, and stay zero in the output.

    Of a dense convolution with padding ⌊k / 2⌋, of ``x`` set to zero at hidden sites, it is the value at each
    visible site. It is differentiable in ``x``, ``weight`` and ``bias``, once.

    Args:
        x: float32 or float64 (B, C, D, H, W), on the CPU.
        visible: bool (B, d, h, w) on the patch grid, ``True`` = visible.
        weight: (out, C, k, k, k), k odd.
        bias: (out,).

    Returns:
        (B, out, ⌈D / stride⌉, ⌈H / stride⌉, ⌈W / stride⌉).

    Raises:
        RuntimeError: MinkowskiEngine is not installed.
        ValueError: ``x`` is not on the CPU or of another type; the kernel is not a cube or of even size; an
            axis of the input or of the output is no multiple of its patches.
    """
    _check(x, weight)
    if not visible.any():
        engine()
        nothing = x.flatten()[:0].sum() + weight.flatten()[:0].sum()
        nothing = nothing if bias is None else nothing + bias[:0].sum()
        return nothing.expand(len(x), len(weight), *(-(-n // stride) for n in x.shape[2:]))
    return convolve(x, site_maps(visible, tuple(x.shape[2:]), stride), weight, bias)


def _check(x: Tensor, weight: Tensor) -> None:
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"MinkowskiEngine is compiled for float32 and float64 on the CPU, got {x.dtype} on {x.device}; "
            "backend='halo' takes any"
        )
    if len(set(weight.shape[2:])) != 1 or weight.shape[-1] % 2 == 0:
        raise ValueError(f"the kernel must be a cube of odd size, got weight {tuple(weight.shape)}")


def _sites(visible: Tensor, size: Size) -> Tensor:
    """Long (4, N): the voxels of a volume of ``size`` whose patch is visible, in the order of memory."""
    return visible_at(visible, size)[:, 0].nonzero().T


def _coordinates(sites: Tensor, stride: int) -> Tensor:
    """int32 (N, 4), rows as the engine reads them: places in voxels of the input."""
    return (sites.T * torch.tensor([1, stride, stride, stride])).int().contiguous()
