"""All backends compute one function, that of a dense convolution between two masks, and its gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from studykit.layers.packed_patches import PackedPatches
from studykit.layers.patch_conv import BACKENDS, PatchSparseConv3d
from studykit.masking import upsample_mask

GRID = (2, 3, 2)
MASKS = ("ragged", "none", "all")
NATIVE = ("halo", "masked_dense")
ALL = [*NATIVE, pytest.param("minkowski", marks=pytest.mark.minkowski)]


def mask(kind="ragged"):
    visible = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(1)) < 0.4
    visible[1], visible[2] = False, True
    return {"ragged": visible, "none": torch.zeros_like(visible), "all": torch.ones_like(visible)}[kind]


def volume(patch=4, channels=3, seed=0, dtype=torch.float32):
    size = [g * patch for g in GRID]
    return torch.randn(3, channels, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer(backend="halo", kernel_size=3, stride=1, bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    return PatchSparseConv3d(3, 5, kernel_size, stride, bias, backend).to(dtype)


def oracle(conv, x, visible):
    """Float64 from ``torch.nn.functional``, masked before and after by multiplication."""
    patch = x.shape[-1] // visible.shape[-1]
    bias = None if conv.bias is None else conv.bias.double()
    seen = x.double() * upsample_mask(visible, patch)
    out = F.conv3d(seen, conv.weight.double(), bias, conv.stride, conv.kernel_size[0] // 2)
    return out * upsample_mask(visible, patch // conv.stride[0])


def outputs(conv, function, visible, patch=4):
    x = volume(patch).requires_grad_()
    y = function(x, visible)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(5))
    inputs = [x, *conv.parameters()]
    return y, torch.autograd.grad((y * weights).sum(), inputs)


def assert_rounding_apart(gradients, expected):
    """Sums over many voxels, of which the largest says how much is lost to rounding."""
    for gradient, reference in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, reference, atol=2e-6 * float(reference.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("backend", ALL)
def test_every_backend_agrees_with_the_oracle(backend, kernel_size, stride, bias, kind):
    conv = layer(backend, kernel_size, stride, bias)
    ours, gradients = outputs(conv, conv, mask(kind))
    exact, expected = outputs(conv, lambda x, v: oracle(conv, x, v), mask(kind))
    torch.testing.assert_close(ours, exact.float(), atol=1e-5, rtol=1e-5)
    assert_rounding_apart(gradients, expected)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_patches_smaller_than_the_kernel(patch, kernel_size):
    conv = layer(kernel_size=kernel_size)
    ours, gradients = outputs(conv, conv, mask(), patch)
    exact, expected = outputs(conv, lambda x, v: oracle(conv, x, v), mask(), patch)
    torch.testing.assert_close(ours, exact.float(), atol=1e-5, rtol=1e-5)
    assert_rounding_apart(gradients, expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("backend", ALL)
def test_what_hidden_voxels_hold_reaches_nothing(backend, stride):
    conv, visible, x = layer(backend, stride=stride), mask(), volume()
    hidden = ~upsample_mask(visible, 4)
    spoilt = x.masked_fill(hidden, float("nan")).requires_grad_()
    y = conv(spoilt, visible)
    torch.testing.assert_close(y, conv(x.masked_fill(hidden, 0), visible), atol=1e-6, rtol=1e-5)
    assert y[(~upsample_mask(visible, 4 // stride)).expand_as(y)].eq(0).all()
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in conv.parameters())
    assert spoilt.grad[hidden.expand_as(x)].eq(0).all()


@pytest.mark.parametrize("backend", NATIVE)
def test_without_a_mask_it_is_the_dense_layer(backend):
    conv, x = layer(backend, stride=2), volume()
    torch.manual_seed(0)
    dense = nn.Conv3d(3, 5, 3, 2, 1)
    assert list(conv.state_dict()) == list(dense.state_dict())
    assert torch.equal(conv(x), dense(x))


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("patch", "stride"), [(1, 1), (2, 1), (2, 2)])
def test_gradcheck_of_packed_patches(kernel_size, patch, stride):
    generator = torch.Generator().manual_seed(0)
    conv = PatchSparseConv3d(1, 2, kernel_size, stride).double()
    packed = PackedPatches(torch.rand(2, 2, 1, 2, generator=generator) < 0.6)
    values = torch.randn(len(packed), 1, *[patch] * 3, generator=generator, dtype=torch.float64)

    def run(values, weight, bias):
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(conv, parameters, (values, packed))

    inputs = (values.requires_grad_(), conv.weight, conv.bias)
    assert torch.autograd.gradcheck(run, inputs, check_undefined_grad=False)


def test_layers_in_a_row_may_stay_packed():
    first, second = layer(stride=2), PatchSparseConv3d(5, 4, 3)
    visible, x = mask(), volume()
    packed = PackedPatches(visible)
    stayed = packed.unpack(second(first(packed.pack(x), packed), packed))
    torch.testing.assert_close(stayed, second(first(x, visible), visible))


def test_compiled_it_computes_the_same():
    conv = layer()
    plain, gradients = outputs(conv, conv, mask())
    compiled, others = outputs(conv, torch.compile(conv, backend="eager"), mask())
    torch.testing.assert_close(compiled, plain)
    assert_rounding_apart(others, gradients)


def test_bfloat16_autocast():
    conv, visible, x = layer(), mask(), volume()
    exact = conv(x, visible)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x, visible)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact, atol=0.03, rtol=0.03)
    y.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=f"Unknown backend 'spconv'. Known: {', '.join(BACKENDS)}"):
        PatchSparseConv3d(1, 1, 3, backend="spconv")
    with pytest.raises(ValueError, match="odd, got 4"):
        PatchSparseConv3d(1, 1, 4)
    with pytest.raises(ValueError, match=r"\(1, 1, 1\) voxels do not divide by stride 2"):
        layer(stride=2)(volume(patch=1), mask())
    with pytest.raises(ValueError, match="backend 'halo'; this layer has 'masked_dense'"):
        layer("masked_dense")(volume(), PackedPatches(mask()))
    with pytest.raises(ValueError, match="does not divide a volume"):
        layer()(torch.zeros(3, 3, 7, 12, 8), mask())
