import math

import pytest
import torch

from studykit.losses.mvc import VARIANCE_FLOOR
from studykit.studies.mvc_components.structure_terms import (
    TERMS,
    correlation_term,
    covariance_term,
    deviations,
    gap_row,
    gradient_bound,
    gradient_is_finite,
    gradient_norms,
    guarded_term,
    hidden_deviations,
    identity_gaps,
)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_identity_holds_on_every_sub_patch_and_equal_ones_are_left_out():
    x, y = noise(3, 1, 8, 8, 16), noise(3, 1, 8, 8, 16, seed=1)
    y[0, :, :4, :4, :4] = x[0, :, :4, :4, :4]
    gaps = identity_gaps(x, y, 4)
    assert gaps.shape == (3, 1, 2, 2, 4)
    assert gaps[0, 0, 0, 0, 0].isnan() and gaps.isnan().sum() == 1
    assert gaps.nan_to_num().max() < 1e-13


def test_bright_sub_patches_that_hardly_differ_have_no_gap_either():
    """Means of 50 that are 2e-5 apart: of a difference of means as they are, rounding would be 1e-9 or so."""
    x = 50 + 1e-3 * noise(2, 1, 8, 8, 8)
    gaps = identity_gaps(x, x + 2e-5 + 1e-6 * noise(2, 1, 8, 8, 8, seed=1), 4)
    assert not gaps.isnan().any() and gaps.max() < 1e-8
    assert identity_gaps(noise(1, 1, 4, 8, 4), noise(1, 1, 4, 8, 4, seed=1), 8).max() < 1e-13


def test_the_gap_shows_a_sum_that_is_not_the_error(monkeypatch):
    from studykit.studies.mvc_components import structure_terms

    whole = structure_terms.block_components
    monkeypatch.setattr(structure_terms, "block_components", lambda x, y, s: whole(x, y, s, "correlation"))
    assert identity_gaps(noise(8, 8, 8), 3 * noise(8, 8, 8, seed=1)).min() > 1e-3


def test_deviations_are_those_of_the_sub_patches():
    volume = noise(2, 1, 8, 8, 8)
    volume[0, 0, :4, :4, :4] = -1.7125013
    expected = volume.unfold(2, 4, 4).unfold(3, 4, 4).unfold(4, 4, 4).flatten(5).std(-1, correction=0)
    torch.testing.assert_close(deviations(volume, 4), expected)
    assert deviations(volume.float(), 4)[0, 0, 0, 0, 0] == 0


def test_the_three_terms_on_textured_sub_patches():
    x, y = noise(8, 8, 8), noise(8, 8, 8, seed=1) + 2
    rho = float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1])
    both = float(x.std(correction=0) * y.std(correction=0))
    assert float(guarded_term(x, y)) == pytest.approx(2 * (1 - rho), rel=1e-6)
    assert float(correlation_term(x, y)) == pytest.approx(2 * (1 - rho), rel=1e-4)
    assert float(covariance_term(x, y)) == pytest.approx(2 * both * (1 - rho), rel=1e-12)


def test_gradients_of_unrelated_textures_have_their_closed_form():
    side, sigma = 4, 0.5
    norms = {name: gradient_norms(term, [sigma, 2 * sigma], side) for name, term in TERMS.items()}
    expected = 2 / (sigma * math.sqrt(side**3))
    assert norms["correlation, released guard"] == pytest.approx([expected, expected / 2], rel=1e-6)
    assert norms["correlation, our floor"] == pytest.approx([expected, expected / 2], rel=1e-4)
    assert norms["covariance"] == pytest.approx(
        [2 * math.sqrt(2) * sigma / math.sqrt(side**3) * k for k in (1, 2)], rel=1e-6
    )


@pytest.mark.parametrize("side", [4, 8])
def test_the_floor_bounds_what_the_guard_lets_grow(side):
    sigmas = torch.logspace(-7, 1, 60).tolist()
    ours, released = (gradient_norms(term, [0.0, *sigmas], side) for term in (correlation_term, guarded_term))
    assert all(math.isfinite(norm) for norm in ours) and max(ours) <= gradient_bound(side)
    assert max(ours) > 0.2 * gradient_bound(side)
    assert max(norm for norm in released if math.isfinite(norm)) > 1e3 * gradient_bound(side)
    assert sigmas[ours[1:].index(max(ours[1:]))] == pytest.approx(VARIANCE_FLOOR**0.5, rel=2)


def test_a_row_of_gaps_leaves_out_what_has_no_error():
    row = gap_row([torch.tensor([[0.1, math.nan]]), torch.tensor([0.3, 0.2])])
    assert (row["pairs"], row["left out"]) == (3, 1)
    assert row["median gap"] == pytest.approx(0.2) and row["largest gap"] == pytest.approx(0.3)


def test_deviations_are_of_hidden_sub_patches_alone():
    crops = torch.zeros(1, 1, 8, 8, 8)
    crops[..., :4] = noise(1, 1, 8, 8, 4).float()
    masks = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    masks[..., 1] = True
    assert hidden_deviations(crops, masks, 2).tolist() == [0.0] * 32, "the textured half is shown"
    assert (hidden_deviations(crops, ~masks, 2) > 0).all()


def test_the_gradient_of_the_loss_is_finite_even_on_flat_patches(monkeypatch):
    crops = torch.zeros(1, 1, 8, 8, 8)
    crops[..., :4] = noise(1, 1, 8, 8, 4).float()
    found = gradient_is_finite(crops, 4)
    assert len(found) == 5 and all(found.values())

    from studykit.studies.mvc_components import structure_terms

    class Breaking:
        def __init__(self, structure):
            pass

        def __call__(self, prediction, truth):
            return {"root": (prediction - truth).abs().sqrt().sum()}

    monkeypatch.setattr(structure_terms, "MVCLoss", Breaking)
    assert not gradient_is_finite(crops, 4)["the truth"]
