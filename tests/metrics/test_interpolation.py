"""Interpolation against a plain loop, and explained variance on values known by construction."""

import math

import numpy as np
import pytest
import torch

from studykit.masking import random_patch_mask, upsample_mask
from studykit.metrics.interpolation import (
    LEAST_SHARE,
    best_sigma,
    explained_variance,
    interpolate,
)


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def middle_hidden(patches=3, batch=1) -> torch.Tensor:
    mask = torch.zeros(batch, patches, patches, patches, dtype=torch.bool)
    mask[:, patches // 2, patches // 2, patches // 2] = True
    return mask


def brute_force(volume: np.ndarray, hidden: np.ndarray, sigma: float) -> np.ndarray:
    """Each hidden voxel's weighted mean over all visible ones; sigma doubled where their share is tiny."""
    painted = volume.copy()
    every = np.argwhere(np.ones(volume.shape, bool))
    for place in np.argwhere(hidden):
        wide = sigma
        while True:
            weights = np.exp(-((every - place) ** 2).sum(1) / (2 * wide**2)).reshape(volume.shape)
            if weights[~hidden].sum() > LEAST_SHARE * weights.sum():
                break
            wide *= 2
        painted[tuple(place)] = np.average(volume[~hidden], weights=weights[~hidden])
    return painted


@pytest.mark.parametrize("sigma", [0.2, 0.9, 3.0])
def test_every_voxel_is_the_weighted_mean_of_the_visible_ones(sigma):
    volume = noise(2, 1, 6, 4, 8, dtype=torch.float64)
    mask = random_patch_mask((3, 2, 4), 0.75, 2, seeded())
    painted = interpolate(volume, mask, sigma)
    hidden = upsample_mask(mask, 2)
    for got, truth, where in zip(painted[:, 0], volume[:, 0], hidden[:, 0], strict=True):
        np.testing.assert_allclose(
            got, brute_force(truth.numpy(), where.numpy(), sigma), rtol=1e-10, atol=1e-12
        )


def test_far_voxels_get_wider_gaussians():
    volume = noise(1, 1, 4, 4, 64)
    mask = torch.ones(1, 1, 1, 16, dtype=torch.bool)
    mask[..., 0] = False
    painted = interpolate(volume, mask, 0.5)
    assert painted.isfinite().all()
    far = painted[..., 40:]
    assert (far - volume[..., :4].mean()).abs().max() < 0.5, "far away, about the visible mean"


@pytest.mark.parametrize("sigma", [0.3, 2.0, 50.0])
def test_constant_volume_comes_back_exactly(sigma):
    volume = torch.full((2, 1, 12, 12, 12), -1.7126)
    mask = random_patch_mask((3, 3, 3), 0.8, 2, seeded())
    assert torch.equal(interpolate(volume, mask, sigma), volume)


def test_ramp_in_the_middle_is_nearly_kept():
    ramp = torch.arange(20.0).expand(1, 1, 20, 20, 20).contiguous()
    mask = middle_hidden(5)
    for sigma in (1.0, 2.0, 4.0):
        painted = interpolate(ramp, mask, sigma)
        inside = painted[upsample_mask(mask, 4)]
        assert inside.mean().item() == pytest.approx(9.5, abs=1e-5), "the two sides balance"
        assert (painted - ramp).abs().max() < 1, "less than a voxel off"
        assert (painted[0, 0, 9, 9].diff() > 0).all()


def test_visible_voxels_are_kept_and_hidden_ones_have_no_influence():
    volume, mask = noise(3, 1, 12, 12, 12), random_patch_mask((3, 3, 3), 0.7, 3, seeded())
    hidden = upsample_mask(mask, 4)
    painted = interpolate(volume, mask, 2.0)
    assert torch.equal(painted[~hidden], volume[~hidden])
    for other in (torch.nan, torch.inf, 1e30):
        assert torch.equal(interpolate(volume.masked_fill(hidden, other), mask, 2.0), painted)
    assert not torch.equal(painted[hidden], volume[hidden])


def test_samples_are_painted_alone_in_their_dtype():
    volume, mask = noise(3, 1, 8, 8, 8), random_patch_mask((2, 2, 2), 0.5, 3, seeded())
    whole = interpolate(volume, mask, 1.5)
    for i in range(3):
        torch.testing.assert_close(interpolate(volume[i : i + 1], mask[i : i + 1], 1.5), whole[i : i + 1])
    assert interpolate(volume.half(), mask, 1.5).dtype == torch.float16


def test_nothing_hidden_changes_nothing():
    volume = noise(1, 1, 8, 8, 8)
    assert torch.equal(interpolate(volume, torch.zeros(1, 2, 2, 2, dtype=torch.bool), 1.0), volume)


def test_best_sigma_has_the_least_hidden_error():
    coarse = torch.nn.functional.interpolate(noise(4, 1, 3, 3, 3), 16, mode="trilinear")
    mask = random_patch_mask((4, 4, 4), 0.6, 4, seeded())
    hidden = upsample_mask(mask, 4)
    sigmas = (16.0, 0.25, 1.0, 4.0)
    errors = [(interpolate(coarse, mask, s) - coarse)[hidden].square().mean().item() for s in sigmas]
    assert best_sigma(coarse, mask, sigmas) == sigmas[int(np.argmin(errors))] == 1.0
    constant = torch.ones(1, 1, 8, 8, 8)
    assert best_sigma(constant, middle_hidden(2), [3, 1]) == 3.0


def test_explained_variance_identities():
    volume, mask = noise(3, 1, 12, 12, 12), random_patch_mask((3, 3, 3), 0.7, 3, seeded())
    hidden = upsample_mask(mask, 4)
    exactly = {"rtol": 1e-6, "atol": 1e-6}
    ones = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(explained_variance(volume, volume, mask), ones, rtol=0, atol=0)
    means = torch.stack([x[h].mean() for x, h in zip(volume, hidden, strict=True)])[:, None, None, None, None]
    painted = torch.where(hidden, means, torch.nan)
    torch.testing.assert_close(explained_variance(painted, volume, mask), 0 * ones, **exactly)
    halfway = torch.where(hidden, (volume + means) / 2, volume)
    torch.testing.assert_close(explained_variance(halfway, volume, mask), 0.75 * ones, **exactly)
    mirrored = torch.where(hidden, 2 * means - volume, volume)
    torch.testing.assert_close(explained_variance(mirrored, volume, mask), -3 * ones, **exactly)


def test_explained_variance_of_flat_or_no_hidden_voxels_is_nan():
    volume = noise(3, 1, 12, 12, 12)
    mask = middle_hidden(batch=3)
    volume[0, 0, 4:8, 4:8, 4:8] = -1.7126
    mask[1] = False
    found = explained_variance(volume, volume, mask)
    assert [math.isnan(value) for value in found] == [True, True, False]


def test_bad_input_is_refused():
    volume, mask = noise(2, 1, 8, 8, 8), middle_hidden(2, batch=2)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive number of voxels"):
            interpolate(volume, mask, sigma)
    all_hidden = mask.clone()
    all_hidden[1] = True
    with pytest.raises(ValueError, match=r"Samples \[1\] of the batch have no visible patch"):
        interpolate(volume, all_hidden, 1.0)
    with pytest.raises(ValueError, match=r"\(B, 1, D, H, W\), got shape \(8, 8, 8\)"):
        interpolate(volume[0, 0], mask, 1.0)
    for shape in [(1, 2, 2, 2), (2, 3, 3, 3), (2, 2, 2, 4), (2, 2, 2), (2, 16, 16, 16), (2, 2, 2, 0)]:
        with pytest.raises(ValueError, match="cubic patches that fill"):
            interpolate(volume, torch.zeros(shape, dtype=torch.bool), 1.0)
    with pytest.raises(ValueError, match="sigmas is empty"):
        best_sigma(volume, mask, [])
    with pytest.raises(ValueError, match="one shape"):
        explained_variance(volume[:1], volume, mask)
