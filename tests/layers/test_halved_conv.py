"""A convolution of two halves is that of the whole; torch's own is left alone where it serves."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.halved_conv import LARGE, conv3


def called(monkeypatch, x, weight):
    """Result and gradients of ``conv3``, and the shapes that torch's convolution was asked for."""
    shapes = []

    def noted(x, weight, **options):
        shapes.append(tuple(x.shape))
        return plain(x, weight, **options)

    plain = F.conv3d
    with monkeypatch.context() as patch:
        patch.setattr("studykit.layers.halved_conv.F.conv3d", noted)
        out = conv3(x, weight)
    return out, shapes


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        ((1, 3, 8, 9, 10), (2, 3, 6, 9, 10)),
        ((1, 3, 10, 16, 8), (2, 3, 7, 16, 8)),
        ((2, 3, 8, 9, 10), None),
        ((1, 3, 9, 8, 8), None),
        ((1, 3, 6, 6, 6), None),
        ((1, LARGE // 64 + 1, 8, 8, 8), None),
    ],
)
def test_output_and_gradients_are_the_whole_maps(shape, asked, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).requires_grad_()
    weight = torch.randn(4, shape[1], 3, 3, 3, generator=generator).requires_grad_()
    out, shapes = called(monkeypatch, x, weight)
    assert shapes == [asked or shape]
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    expected = F.conv3d(x, weight, padding=1)
    upstream = torch.randn(out.shape, generator=generator)
    found = [out, *torch.autograd.grad(out, (x, weight), upstream)]
    for got, wanted in zip(
        found, [expected, *torch.autograd.grad(expected, (x, weight), upstream)], strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * wanted.detach().abs().max().item())
