"""Statistics are those of the visible voxels alone; with nothing hidden the layers are torch's."""

import pytest
import torch
from torch import nn

from studykit.layers.packed_patches import PackedPatches
from studykit.layers.sparse_norm import SparseBatchNorm3d, SparseInstanceNorm3d
from studykit.masking import upsample_mask

DENSE = {
    SparseInstanceNorm3d: lambda c: nn.InstanceNorm3d(c, affine=True),
    SparseBatchNorm3d: nn.BatchNorm3d,
}


@pytest.fixture(params=DENSE, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def volume():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 4, 4, 4, 6, generator=generator, dtype=torch.float64) * 3 + 2


def mask():
    visible = torch.rand(3, 2, 2, 3, generator=torch.Generator().manual_seed(1)) < 0.5
    visible[1] = False
    return visible


def filled(norm):
    """A norm in float64 with parameters that matter."""
    generator = torch.Generator().manual_seed(2)
    norm = norm.double()
    nn.init.normal_(norm.weight, generator=generator)
    nn.init.normal_(norm.bias, generator=generator)
    return norm


def test_with_nothing_hidden_it_is_the_dense_layer(kind):
    sparse, dense = filled(kind(4)), filled(DENSE[kind](4))
    assert list(sparse.state_dict()) == list(dense.state_dict())
    x = volume()
    everything = torch.ones(3, 2, 2, 3, dtype=torch.bool)
    expected = dense(x)
    assert torch.equal(filled(kind(4))(x), expected)
    torch.testing.assert_close(sparse(x, everything), expected)
    for name, buffer in dense.named_buffers():
        torch.testing.assert_close(sparse.get_buffer(name), buffer)


def test_statistics_are_those_of_visible_voxels(kind):
    norm, x, visible = filled(kind(4)), volume(), mask()
    seen = upsample_mask(visible, 2)[:, 0]
    y = norm(x, visible)
    samples = [[0, 2]] if kind is SparseBatchNorm3d else [[0], [2]]
    for group in samples:
        values = torch.cat([x[b][:, seen[b]] for b in group], dim=1)
        mean, variance = values.mean(dim=1, keepdim=True), values.var(dim=1, keepdim=True, correction=0)
        for b in group:
            expected = (x[b][:, seen[b]] - mean) / (variance + norm.eps).sqrt()
            expected = expected * norm.weight[:, None] + norm.bias[:, None]
            torch.testing.assert_close(y[b][:, seen[b]], expected)
    assert y[(~seen)[:, None].expand_as(y)].eq(0).all()


def test_running_statistics_are_those_of_visible_voxels():
    norm, x, visible = SparseBatchNorm3d(4, momentum=1.0).double(), volume(), mask()
    norm(x, visible)
    values = x.movedim(1, -1)[upsample_mask(visible, 2)[:, 0]]
    torch.testing.assert_close(norm.running_mean, values.mean(dim=0))
    torch.testing.assert_close(norm.running_var, values.var(dim=0))
    norm(x, torch.zeros_like(visible))
    torch.testing.assert_close(norm.running_mean, values.mean(dim=0))


def test_hidden_voxels_reach_nothing(kind):
    norm, x, visible = filled(kind(4)), volume(), mask()
    hidden = (~upsample_mask(visible, 2)).expand_as(x)
    spoilt = x.masked_fill(hidden, float("nan")).requires_grad_()
    y = norm(spoilt, visible)
    assert torch.equal(y, filled(kind(4))(x, visible))
    y.square().sum().backward()
    assert spoilt.grad[hidden].eq(0).all()
    assert spoilt.grad.isfinite().all() and norm.weight.grad.isfinite().all()


def test_packed_patches_stay_packed(kind):
    x, packed = volume(), PackedPatches(mask())
    values = filled(kind(4))(packed.pack(x), packed)
    assert torch.equal(packed.unpack(values), filled(kind(4))(x, mask()))


def test_gradcheck_of_the_instance_norm():
    norm = filled(SparseInstanceNorm3d(2))
    packed = PackedPatches(mask())
    values = torch.randn(len(packed), 2, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: norm(v, packed), values)


def test_low_precision_keeps_its_dtype_and_its_accuracy(kind):
    norm, x = kind(4), (volume() + 50).bfloat16()
    y = norm(x, mask())
    assert y.dtype == torch.bfloat16
    exact = kind(4).double()(x.double(), mask())
    torch.testing.assert_close(y.double(), exact, atol=0.05, rtol=0.02)


def test_a_single_visible_voxel_gives_the_bias():
    visible = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    visible[0, 0, 1, 0] = True
    norm = filled(SparseInstanceNorm3d(4))
    y = norm(torch.randn(1, 4, 2, 2, 2, dtype=torch.float64), visible)
    torch.testing.assert_close(y[0, :, 0, 1, 0], norm.bias)
