"""Hidden patches: standardised targets by hand, what a loss is given, painting that undoes it all."""

import pytest
import torch

from studykit.layers.patches import patchify, split_mask, unpatchify
from studykit.losses.reconstruction import L2Loss
from studykit.masking import random_patch_mask, upsample_mask
from studykit.methods.hidden_patches import hidden_terms, painted, standardised


def volume(seed=0, channels=1):
    return 7 * torch.randn(2, channels, 8, 8, 8, generator=torch.Generator().manual_seed(seed)) + 3


@pytest.fixture
def mask():
    return random_patch_mask((2, 2, 2), 0.5, 2, torch.Generator().manual_seed(1))


def test_standardised_patches_have_zero_mean_and_unit_deviation():
    target = standardised(patchify(volume(), 4))
    torch.testing.assert_close(target.mean(dim=(2, 3, 4, 5)), torch.zeros(2, 8), atol=1e-5, rtol=0)
    deviation = target.std(dim=(2, 3, 4, 5), correction=0)
    torch.testing.assert_close(deviation, torch.ones(2, 8), atol=1e-4, rtol=0)
    assert standardised(torch.full((1, 2, 1, 4, 4, 4), 5.0)).eq(0).all()


@pytest.mark.parametrize("normalise", [False, True])
def test_terms_are_of_hidden_patches_alone(mask, normalise):
    x, _, hidden = volume(), *split_mask(mask)
    truth = patchify(x, 4)
    prediction = torch.zeros_like(truth)
    error = hidden_terms(L2Loss(), prediction, x, hidden, normalise_target=normalise)["l2"]
    chosen = (standardised(truth) if normalise else truth)[mask.flatten(1)]
    torch.testing.assert_close(error, chosen.square().mean())


@pytest.mark.parametrize("channels", [1, 2])
def test_painting_gives_back_a_prediction_that_was_perfect(mask, channels):
    """Of standardised patches the mean and deviation are put back; what is visible is not touched."""
    x = volume(channels=channels)
    perfect = unpatchify(standardised(patchify(x, 4)), (2, 2, 2))
    torch.testing.assert_close(painted(x, perfect, mask, normalise_target=True), x, rtol=1e-5, atol=1e-4)
    other = painted(x, perfect, mask)
    hidden = upsample_mask(mask, 4).expand_as(x)
    assert torch.equal(other[hidden], perfect[hidden]) and torch.equal(other[~hidden], x[~hidden])


def test_patches_need_not_be_cubes():
    x, mask = torch.rand(1, 1, 8, 4, 4), torch.zeros(1, 4, 1, 2, dtype=torch.bool)
    mask[0, 1, 0, 1] = True
    level = painted(x, torch.zeros_like(x), mask, normalise_target=True)[0, 0, 2:4, :, 2:]
    torch.testing.assert_close(level, x[0, 0, 2:4, :, 2:].mean().expand_as(level))
