"""A narrow convolution equals torch's own, and only a narrow one takes its input with channels last."""

import pytest
import torch
from torch import nn

from studykit.layers.narrow_conv import BLOCK, NarrowConv3d


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("width", [3, BLOCK])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torchs_convolution_forward_and_backward(channels, width, bias):
    torch.manual_seed(0)
    layer = NarrowConv3d(channels, width, 3, padding=1, bias=bias)
    x = torch.randn(2, channels, 4, 6, 5, requires_grad=True)
    ours, theirs = layer(x), nn.Conv3d.forward(layer, x)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weight = torch.randn(ours.shape)
    wanted = [x, *layer.parameters()]
    found = torch.autograd.grad((ours * weight).sum(), wanted)
    expected = torch.autograd.grad((theirs * weight).sum(), wanted)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("width", "last"), [(BLOCK - 1, True), (BLOCK, False)])
def test_channels_come_last_below_a_block_only(width, last):
    out = NarrowConv3d(4, width, 3, padding=1)(torch.randn(2, 4, 4, 4, 4))
    assert out.is_contiguous(memory_format=torch.channels_last_3d) is last
