"""Layers with ways of their own on a GPU against the CPU: window attention, sparse backends, wavelets.

The last tests take one case of each through the same comparison without a card.
"""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from studykit.layers.biased_attention import _attend_at_once, biased_attention
from studykit.layers.packed_patches import PackedPatches
from studykit.layers.patch_conv import PatchSparseConv3d
from studykit.layers.wavelets import MODES, dwt3d, idwt3d

on_a_card = pytest.mark.gpu
ERROR = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Of the largest value."""


@pytest.fixture(autouse=True)
def without_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def attention_inputs(
    window: int, heads: int, channels: int, masked: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Queries, keys and values of two samples of three windows; a bias, and what windows hide."""
    generator, tokens, windows = torch.Generator().manual_seed(0), window**3, 3
    qkv = torch.randn(2, windows, tokens, 3, heads, channels, generator=generator)
    bias = torch.randn(heads, tokens, tokens, generator=generator)
    mask = None
    if masked:
        hidden = torch.rand(windows, 1, tokens, tokens, generator=generator) < 0.4
        hidden &= ~torch.eye(tokens, dtype=torch.bool)
        mask = torch.zeros(hidden.shape).masked_fill(hidden, float("-inf"))
    return qkv, bias, mask


def passes(function: Callable[..., Tensor], inputs: Sequence[Tensor], device: str, dtype: torch.dtype):
    """What comes out, and the gradients at the inputs, of a sum with fixed weights."""
    inputs = [x.to(device, dtype, copy=True).requires_grad_() for x in inputs]
    out = function(*inputs)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9)).to(out)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


def assert_same(
    function: Callable[[str], Callable], inputs: Sequence[Tensor], dtype: torch.dtype, there: str
) -> None:
    """``function`` of a device is what is computed there; the CPU's is in single precision."""
    expected = passes(function("cpu"), inputs, "cpu", torch.float32)
    found = passes(function(there), inputs, there, dtype)
    assert {mine.device.type for mine in found} == {there}
    assert_close(found, expected, dtype)


def assert_close(found: Sequence[Tensor], expected: Sequence[Tensor], dtype: torch.dtype) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        limit = ERROR[dtype] * max(float(theirs.abs().max()), 1.0)
        torch.testing.assert_close(mine.float().cpu(), theirs, atol=limit, rtol=0)


@on_a_card
@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("window", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize(("heads", "channels"), [(1, 8), (2, 12), (3, 16), (6, 32), (2, 64)])
def test_window_attention_with_bias(window, heads, channels, masked, dtype, there="cuda"):
    """Odd numbers of tokens, too: fused kernels want rows of eight, and the bias has its own gradient."""
    qkv, bias, mask = attention_inputs(window, heads, channels, masked)

    def on(device: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda qkv, bias: biased_attention(qkv, bias, None if mask is None else mask.to(device))

    assert_same(on, [qkv, bias], dtype, there)


@on_a_card
@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize("backend", ["halo", "masked_dense"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_sparse_convolution(backend, kernel_size, stride, dtype, there="cuda"):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 16, 8, 12, 8, generator=generator)
    visible = torch.rand(3, 2, 3, 2, generator=generator) < 0.4
    visible[1], visible[2] = False, True
    torch.manual_seed(0)
    layer = PatchSparseConv3d(16, 24, kernel_size, stride, backend=backend)

    def on(device: str) -> Callable[..., Tensor]:
        def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            parameters = {"weight": weight, "bias": bias}
            return torch.func.functional_call(layer, parameters, (x, visible.to(device)))

        return convolve

    assert_same(on, [x, layer.weight.detach(), layer.bias.detach()], dtype, there)


@on_a_card
@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize("count", [None, 8], ids=["counted", "known"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (3, 2), (5, 1)])
def test_sparse_convolution_of_packed_patches(kernel_size, stride, count, dtype, there="cuda"):
    """Packed once, convolved twice and unpacked, as an encoder does; the second is on half the resolution."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 8, 8, 8, 8, generator=generator)
    order = torch.rand(2, 8, generator=generator).argsort(dim=1)
    visible = (order < 4).view(2, 2, 2, 2)
    torch.manual_seed(0)
    first, second = PatchSparseConv3d(8, 12, kernel_size, stride), PatchSparseConv3d(12, 8, 3)

    def on(device: str) -> Callable[..., Tensor]:
        def convolve(x: Tensor, *weights: Tensor) -> Tensor:
            packed = PackedPatches(visible.to(device), count)
            values = packed.pack(x)
            for layer, weight in zip((first, second), weights, strict=True):
                parameters = {"weight": weight, "bias": layer.bias.detach().to(x)}
                values = torch.func.functional_call(layer, parameters, (values, packed))
            return packed.unpack(values)

        return convolve

    assert_same(on, [x, first.weight.detach(), second.weight.detach()], dtype, there)


@on_a_card
@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize("size", [(8, 8, 8), (9, 10, 11)], ids=["even", "odd"])
@pytest.mark.parametrize(
    ("wavelet", "level", "mode"),
    [("haar", 1, mode) for mode in MODES] + [("haar", 2, "zero"), ("db2", 1, "zero"), ("db2", 1, "reflect")],
)
def test_wavelets_there_and_back(wavelet, level, mode, size, dtype, there="cuda"):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))

    def on(device: str) -> Callable[[Tensor], Tensor]:
        def both(x: Tensor) -> Tensor:
            found = dwt3d(x, wavelet, level, mode)
            again = idwt3d(found, size, wavelet)
            bands = [band.flatten() for bands in found.high for band in bands]
            return torch.cat([found.low.flatten(), *bands, again.flatten()])

        return both

    assert_same(on, [x], dtype, there)


# ---- the same without a card


@pytest.mark.parametrize("dtype", ERROR, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(("window", "heads", "channels"), [(2, 1, 8), (3, 3, 16)])
def test_attention_as_a_card_computes_it(window, heads, channels, masked, dtype):
    """The one product of all windows with bias and mask, by torch's own kernel of the CPU."""
    qkv, bias, mask = attention_inputs(window, heads, channels, masked)
    expected = passes(lambda qkv, bias: biased_attention(qkv, bias, mask), [qkv, bias], "cpu", torch.float32)
    mask = None if mask is None else mask.to(dtype)
    found = passes(lambda qkv, bias: _attend_at_once(qkv, bias, mask), [qkv, bias], "cpu", dtype)
    assert_close(found, expected, dtype)


@pytest.mark.parametrize("dtype", ERROR, ids=str)
def test_the_other_comparisons_hold_on_the_cpu(dtype):
    for backend in ("halo", "masked_dense"):
        test_sparse_convolution(backend, 3, 2, dtype, "cpu")
    for count in (None, 8):
        test_sparse_convolution_of_packed_patches(3, 2, count, dtype, "cpu")
    if dtype == torch.float32:  # the CPU has no Haar in half precision that would tell of a card's
        test_wavelets_there_and_back("haar", 2, "zero", (8, 8, 8), dtype, "cpu")
