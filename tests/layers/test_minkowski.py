"""MinkowskiEngine's convolution against a dense one of the zeroed volume, forward and backward.

``make minkowski`` runs these; elsewhere those that need the engine are skipped where it is not installed.
"""

import collections
import os

import pytest
import torch
import torch.nn.functional as F

from studykit.layers import minkowski
from studykit.layers.minkowski import available, convolve, engine, minkowski_conv3d, site_maps
from studykit.masking import upsample_mask

GRID = (2, 3, 2)
PATCH = 4
SIZE = tuple(n * PATCH for n in GRID)

RAGGED = torch.tensor(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    ]
).bool()
"""Nothing visible in the first sample, one corner patch in the last."""


def dense(x, visible, weight, bias, stride):
    """The same by torch's dense convolution."""
    patch = tuple(n // g for n, g in zip(x.shape[2:], visible.shape[1:], strict=True))
    y = F.conv3d(x * upsample_mask(visible, patch), weight, bias, stride, weight.shape[-1] // 2)
    return y * upsample_mask(visible, tuple(n // stride for n in patch))


def tensors(kernel_size, dtype=torch.float64, bias=True, channels=(3, 5), batch=3):
    generator = torch.Generator().manual_seed(kernel_size)
    shapes = [(batch, channels[0], *SIZE), (channels[1], channels[0], *(kernel_size,) * 3), (channels[1],)]
    made = [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]
    return made if bias else [*made[:2], None]


def value_and_gradients(convolution, x, visible, weight, bias, stride):
    y = convolution(x, visible, weight, bias, stride)
    towards = torch.randn(y.shape, generator=torch.Generator().manual_seed(7), dtype=y.dtype)
    wanted = [x, weight] if bias is None else [x, weight, bias]
    return [y, *torch.autograd.grad(y, wanted, towards)]


@pytest.mark.minkowski
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_values_and_gradients_are_those_of_a_dense_convolution(kernel_size, stride, bias, dtype):
    x, weight, bias = tensors(kernel_size, dtype, bias)
    visible = RAGGED.view(3, *GRID)
    found = value_and_gradients(minkowski_conv3d, x, visible, weight, bias, stride)
    expected = value_and_gradients(dense, x, visible, weight, bias, stride)
    rounding = 16 * torch.finfo(dtype).eps
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=rounding, atol=rounding * theirs.abs().max().item())


@pytest.mark.minkowski
@pytest.mark.parametrize("stride", [1, 2])
def test_with_everything_visible_it_is_the_dense_convolution(stride):
    x, weight, bias = tensors(3)
    visible = torch.ones(3, *GRID, dtype=torch.bool)
    expected = F.conv3d(x, weight, bias, stride, 1)
    torch.testing.assert_close(minkowski_conv3d(x, visible, weight, bias, stride), expected)


@pytest.mark.minkowski
@pytest.mark.parametrize("stride", [1, 2])
def test_hidden_voxels_are_not_read_and_hidden_sites_not_written(stride):
    x, weight, bias = tensors(3)
    visible = RAGGED.view(3, *GRID)
    hidden = ~upsample_mask(visible, PATCH)
    noise = x.detach().masked_fill(hidden, torch.nan)
    found = minkowski_conv3d(noise, visible, weight, bias, stride)
    torch.testing.assert_close(found, minkowski_conv3d(x, visible, weight, bias, stride))
    written = (found != 0).all(dim=1, keepdim=True)
    assert written.equal(upsample_mask(visible, PATCH // stride))


@pytest.mark.minkowski
def test_an_odd_size_is_rounded_up_by_stride_two():
    """One patch of 7 × 5 × 6 voxels: the window of the last output site hangs over the border."""
    x = torch.randn(1, 2, 7, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.randn(3, 2, 3, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = minkowski_conv3d(x, torch.ones(1, 1, 1, 1, dtype=torch.bool), weight, stride=2)
    assert found.shape == (1, 3, 4, 3, 3)
    torch.testing.assert_close(found, F.conv3d(x, weight, None, 2, 1))


@pytest.mark.minkowski
@pytest.mark.parametrize("stride", [1, 2])
def test_kept_maps_serve_several_kernels_and_repeat(stride):
    visible = RAGGED.view(3, *GRID)
    maps = site_maps(visible, SIZE, stride)
    for kernel_size in (3, 5, 3):
        x, weight, bias = tensors(kernel_size)
        expected = dense(x, visible, weight, bias, stride)
        torch.testing.assert_close(convolve(x, maps, weight, bias), expected)


@pytest.mark.minkowski
def test_gradients_agree_with_finite_differences():
    x, weight, bias = tensors(3, channels=(1, 2), batch=1)
    visible = torch.zeros(1, *GRID, dtype=torch.bool)
    visible[0, 1, 2] = True
    maps = site_maps(visible, SIZE, 2)
    assert torch.autograd.gradcheck(
        lambda *t: convolve(t[0], maps, *t[1:]), (x, weight, bias), fast_mode=True
    )


@pytest.mark.minkowski
@pytest.mark.parametrize("stride", [1, 2])
def test_where_nothing_is_visible_values_and_gradients_are_zero(stride):
    x, weight, bias = tensors(3)
    nothing = torch.zeros(3, *GRID, dtype=torch.bool)
    found = value_and_gradients(minkowski_conv3d, x, nothing, weight, bias, stride)
    expected = value_and_gradients(dense, x, nothing, weight, bias, stride)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.equal(theirs)
    with pytest.raises(ValueError, match="no patch is visible"):
        site_maps(nothing, SIZE, stride)


@pytest.mark.minkowski
def test_importing_leaves_collections_and_the_environment_as_they_were(monkeypatch):
    assert engine().__version__ == "0.5.4"
    assert not hasattr(collections, "Sequence")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    engine.cache_clear()
    engine()
    assert not hasattr(collections, "Sequence")
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.setattr(collections, "Sequence", list, raising=False)
    engine.cache_clear()
    engine()
    assert collections.Sequence is list
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.minkowski
def test_sizes_that_are_not_whole_patches_are_refused():
    x, weight, _ = tensors(3)
    with pytest.raises(ValueError, match=r"map of \(8, 12, 8\) does not divide into .* \(3, 3, 2\)"):
        minkowski_conv3d(x, torch.ones(3, 3, 3, 2, dtype=torch.bool), weight)
    with pytest.raises(ValueError, match=r"map of \(4, 6, 4\) does not divide into .* \(8, 12, 8\)"):
        minkowski_conv3d(x, torch.ones(3, 8, 12, 8, dtype=torch.bool), weight, stride=2)


def test_other_types_and_kernels_are_refused():
    x, weight, _ = tensors(3)
    visible = RAGGED.view(3, *GRID)
    with pytest.raises(ValueError, match=r"float32 and float64 on the CPU, got torch.bfloat16 on cpu"):
        minkowski_conv3d(x.bfloat16(), visible, weight.bfloat16())
    with pytest.raises(ValueError, match=r"cube of odd size, got weight \(5, 3, 3, 3, 2\)"):
        minkowski_conv3d(x, visible, weight[..., :2])


def test_where_it_is_not_installed_the_message_says_what_to_do(monkeypatch):
    x, weight, _ = tensors(3)
    monkeypatch.setattr(minkowski.importlib.util, "find_spec", lambda name: None)
    engine.cache_clear()
    assert not available()
    with pytest.raises(RuntimeError, match="make minkowski"):
        minkowski_conv3d(x, RAGGED.view(3, *GRID), weight)
