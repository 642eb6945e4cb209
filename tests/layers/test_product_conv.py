"""Convolutions as products equal torch's own, forward and backward, and fall back where they are none."""

import pytest
import torch
from torch import Tensor, nn

from studykit.layers import product_conv
from studykit.layers.product_conv import PatchwiseConvTranspose3d, PointwiseConv3d, SingleVoxelConv3d


def assert_same(layer: nn.Module, theirs: type[nn.Module], x: Tensor) -> None:
    x = x.requires_grad_()
    ours, reference = layer(x), theirs.forward(layer, x)
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    wanted = [x, *layer.parameters()]
    found = torch.autograd.grad((ours * weight).sum(), wanted)
    expected = torch.autograd.grad((reference * weight).sum(), wanted)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.fixture
def products(monkeypatch):
    """Shapes of the weights that went into a product."""
    seen = []

    def counted(x, weight, bias=None):
        seen.append(tuple(weight.shape))
        return torch.nn.functional.linear(x, weight, bias)

    monkeypatch.setattr(product_conv, "linear", counted)
    return seen


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size", "taps"),
    [(3, 2, 1, 2, 8), (3, 2, 1, 1, 1), (2, 2, 0, 2, 8), (1, 1, 0, 1, 1), (3, 2, 0, 4, 27)],
)
def test_a_convolution_to_a_single_voxel_is_a_product(products, kernel, stride, padding, size, taps, bias):
    torch.manual_seed(0)
    layer = SingleVoxelConv3d(3, 5, kernel, stride, padding, bias=bias)
    x = torch.randn(4, 3, size, size, size)
    assert_same(layer, nn.Conv3d, x)
    assert products == [(5, 3 * taps)]


@pytest.mark.parametrize(("stride", "size"), [(2, (4, 4, 4)), (2, (2, 2, 3)), (1, (2, 2, 2))])
def test_a_larger_output_is_torchs_own_convolution(products, stride, size):
    torch.manual_seed(0)
    assert_same(SingleVoxelConv3d(3, 5, 3, stride, 1), nn.Conv3d, torch.randn(2, 3, *size))
    assert not products


@pytest.mark.parametrize("patch", [1, 2, (1, 2, 3)])
@pytest.mark.parametrize(("channels", "width"), [(6, 4), (4, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_transposed_convolution_into_patches_is_a_product(patch, channels, width, layout):
    torch.manual_seed(0)
    layer = PatchwiseConvTranspose3d(channels, width, patch)
    x = torch.randn(2, channels, 3, 4, 2).contiguous(memory_format=layout)
    assert_same(layer, nn.ConvTranspose3d, x)
    assert layer(x).is_contiguous()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_with_channels_last_nothing_is_copied_to_the_front(layout):
    torch.manual_seed(0)
    up = PatchwiseConvTranspose3d(6, 4, 2, bias=False, channels_last=True)
    point = PointwiseConv3d(6, 4)
    x = torch.randn(2, 6, 3, 4, 2).contiguous(memory_format=layout)
    for layer, plain in ((up, nn.ConvTranspose3d), (point, nn.Conv3d)):
        assert_same(layer, plain, x)
        assert layer(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_operations_are_counted_as_those_of_the_convolution():
    """On the meta device, where FLOPs are counted, both are what they stand for."""
    conv = SingleVoxelConv3d(3, 5, 3, 2, 1).to("meta")
    assert conv(torch.empty(4, 3, 2, 2, 2, device="meta")).shape == (4, 5, 1, 1, 1)
    up = PatchwiseConvTranspose3d(6, 4, 2).to("meta")
    assert up(torch.empty(2, 6, 3, 3, 3, device="meta")).is_contiguous()
