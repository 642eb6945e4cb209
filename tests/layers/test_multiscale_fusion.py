"""Fusion is the weighted sum of its normalised branches, by weights that add up to 1."""

import pytest
import torch
import torch.nn.functional as F

from studykit.layers.multiscale_fusion import WEIGHINGS, MultiscaleFusion

KERNELS = (1, 3, 5)


def fusion(weighing, seed=0):
    torch.manual_seed(seed)
    layer = MultiscaleFusion(2, 4, KERNELS, weighing).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return layer


def volumes():
    """A rough volume and a smooth one."""
    rough = torch.randn(2, 2, 5, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.cat([rough[:1], F.avg_pool3d(rough[1:], 3, 1, 1)])


@pytest.mark.parametrize("weighing", WEIGHINGS)
def test_it_is_the_weighted_sum_of_its_branches(weighing):
    layer, x = fusion(weighing), volumes()
    maps = torch.stack(
        [F.leaky_relu(F.instance_norm(F.conv3d(x, b.weight, padding=k // 2)), 0.01)
         for b, k in zip(layer.branches, KERNELS, strict=True)],
        dim=1,
    )  # fmt: skip
    weights = layer.weights(x)
    assert weights.shape == (2, 3, 4)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 4).double())
    torch.testing.assert_close(layer(x), torch.einsum("bkcdhw,bkc->bcdhw", maps, weights))


def test_scalars_are_one_weight_a_branch_and_selective_weights_go_with_volume_and_channel():
    scalars, selective = (fusion(w).weights(volumes()) for w in WEIGHINGS)
    assert torch.equal(scalars, scalars[:1, :, :1].expand_as(scalars))
    assert (selective[0] - selective[1]).abs().max() > 1e-3
    assert (selective[:, :, 0] - selective[:, :, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("weighing", WEIGHINGS)
def test_weights_start_equal(weighing):
    weights = MultiscaleFusion(1, 4, KERNELS, weighing).weights(torch.randn(2, 1, 5, 5, 5))
    torch.testing.assert_close(weights, torch.full((2, 3, 4), 1 / 3))


@pytest.mark.parametrize(
    ("kernels", "weighing", "words"),
    [
        ((3,), "scalars", r"two kernels or more, all odd, got \(3,\)"),
        ((3, 4), "scalars", r"all odd, got \(3, 4\)"),
        ((1, 3), "mean", "Unknown weighing 'mean'"),
    ],
)
def test_what_cannot_be_is_refused(kernels, weighing, words):
    with pytest.raises(ValueError, match=words):
        MultiscaleFusion(1, 4, kernels, weighing)
