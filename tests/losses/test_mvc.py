"""MVC: the identity, both structure terms against plain definitions, and gradients on flat sub-patches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from studykit.losses import build_loss
from studykit.losses.mvc import VARIANCE_FLOOR, MVCLoss, block_components, components

BOUND = 2.7 / (64 * VARIANCE_FLOOR) ** 0.5
"""The documented bound on the correlation form's gradient over a 4³ sub-patch."""


def pair(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(*shape, generator=generator, dtype=torch.float64) * 0.7 + 0.2
    target = 0.6 * prediction + torch.randn(*shape, generator=generator, dtype=torch.float64)
    return prediction.to(dtype), target.to(dtype)


@pytest.mark.parametrize("shape", [(2, 3, 1, 16, 16, 16), (8, 16, 24), (5, 8, 4, 2), (2, 4, 2, 4, 4, 4)])
def test_the_three_parts_add_up_to_the_squared_error(shape):
    prediction, target = pair(*shape)
    parts = components(prediction, target)
    total = parts.brightness + parts.contrast + parts.structure
    assert total.dtype == torch.float64 and total.shape == ()
    torch.testing.assert_close(total, F.mse_loss(prediction, target), atol=0, rtol=1e-13)


def test_each_block_agrees_with_statistics_of_that_block():
    prediction, target = pair(3, 8, 8, 8)
    parts = block_components(prediction, target, sub_patch=4)
    correlated = block_components(prediction, target, sub_patch=4, structure="correlation")
    assert parts.brightness.shape == (3, 2, 2, 2)
    x, y = prediction[2, 4:, :4, 4:].numpy().ravel(), target[2, 4:, :4, 4:].numpy().ravel()
    at = (2, 1, 0, 1)
    rho = np.corrcoef(x, y)[0, 1]
    assert parts.brightness[at].item() == pytest.approx((x.mean() - y.mean()) ** 2, rel=1e-12)
    assert parts.contrast[at].item() == pytest.approx((x.std() - y.std()) ** 2, rel=1e-12)
    assert parts.structure[at].item() == pytest.approx(2 * x.std() * y.std() * (1 - rho), rel=1e-12)
    assert correlated.structure[at].item() == pytest.approx(2 * (1 - rho), rel=1e-4)
    assert torch.equal(correlated.contrast, parts.contrast)


def test_each_part_sees_its_own_change_only():
    x = pair(8, 8, 8)[0]
    zero = torch.zeros((), dtype=x.dtype)
    close = {"atol": 1e-14, "rtol": 1e-12}
    shifted = components(x, x + 0.5)
    torch.testing.assert_close(shifted.brightness, zero + 0.25, **close)
    torch.testing.assert_close(shifted.contrast + shifted.structure, zero, **close)
    centred = x - x.mean()
    stretched = components(centred, 3 * centred)
    torch.testing.assert_close(stretched.contrast, 4 * centred.square().mean(), **close)
    torch.testing.assert_close(stretched.brightness + stretched.structure, zero, **close)
    mirrored = components(centred, -centred)
    torch.testing.assert_close(mirrored.structure, 4 * centred.square().mean(), **close)


def test_the_correlation_form_is_blind_to_contrast_and_the_covariance_form_is_not():
    x, y = pair(8, 8, 8)
    structure = lambda a, b, form: block_components(a, b, 8, form).structure.item()  # noqa: E731
    assert structure(5 * x, y, "correlation") == pytest.approx(structure(x, y, "correlation"), rel=1e-4)
    assert structure(5 * x, y, "covariance") == pytest.approx(5 * structure(x, y, "covariance"), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float32(dtype):
    prediction, target = pair(2, 8, 8, 8, dtype=dtype)
    parts = components(prediction, target)
    exact = components(prediction.double(), target.double())
    for name in ("brightness", "contrast", "structure"):
        value = getattr(parts, name)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), getattr(exact, name), atol=1e-7, rtol=1e-5)


def test_a_short_axis_is_one_block_and_a_ragged_one_is_refused():
    prediction, target = pair(2, 1, 4, 4, 4)
    assert block_components(prediction, target).structure.shape == (2, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="12×12×12 voxels do not divide into sub-patches of 8³"):
        components(*pair(12, 12, 12))
    with pytest.raises(ValueError, match="sub_patch that divides"):
        components(*pair(8, 8, 8), sub_patch=0)
    with pytest.raises(ValueError, match=r"one shape .* \(8, 8, 8\) and \(1, 8, 8, 8\)"):
        components(pair(8, 8, 8)[0], pair(1, 8, 8, 8)[0])
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        components(*pair(8, 8))


def test_the_loss_weighs_the_components():
    prediction, target = pair(2, 3, 1, 16, 16, 16)
    terms = build_loss("mvc")(prediction, target)
    parts = components(prediction, target)
    assert list(terms) == ["brightness", "contrast", "structure"]
    torch.testing.assert_close(terms["brightness"], 0.3 * parts.brightness)
    torch.testing.assert_close(terms["contrast"], 0.2 * parts.contrast)
    torch.testing.assert_close(terms["structure"], 0.5 * parts.structure)
    plain = sum(MVCLoss(weights=(1, 1, 1), sub_patch=4)(prediction, target).values())
    torch.testing.assert_close(plain, F.mse_loss(prediction, target))


def test_by_patch_averages_to_the_loss():
    prediction, target = pair(2, 3, 1, 16, 16, 16)
    loss = MVCLoss(structure="correlation")
    by_patch = loss.by_patch(prediction, target)
    assert by_patch.shape == (2, 3)
    torch.testing.assert_close(by_patch.mean(), sum(loss(prediction, target).values()))
    alone = sum(loss(prediction[1:, 2:], target[1:, 2:]).values())
    torch.testing.assert_close(by_patch[1, 2], alone)


@pytest.mark.parametrize("structure", ["covariance", "correlation"])
def test_gradients_are_those_of_finite_differences(structure):
    prediction, target = pair(1, 2, 1, 4, 4, 4)
    loss = MVCLoss(structure=structure, sub_patch=2)
    inputs = (prediction.requires_grad_(), target.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, y: tuple(loss(x, y).values()), inputs)


def structure_gradient(sigma, form, target_sigma=1.0, dtype=torch.float64):
    """Gradient of one 4³ sub-patch's structure term, its prediction a texture of deviation ``sigma``."""
    prediction, target = pair(4, 4, 4)
    prediction = ((prediction - prediction.mean()) / prediction.std(correction=0) * sigma + 0.3).to(dtype)
    target = ((target - target.mean()) / target.std(correction=0) * target_sigma - 1).to(dtype)
    prediction.requires_grad_()
    block_components(prediction, target, 4, form).structure.sum().backward()
    return prediction.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target_sigma", [0.0, 1e-5, 1e-3, 1.0])
@pytest.mark.parametrize("sigma", [0.0, 1e-300, 1e-20, 1e-12, 1e-8, 1e-5, 1e-3, 6e-4, 1e-1])
def test_gradients_on_nearly_flat_sub_patches_stay_finite(sigma, target_sigma, dtype):
    for form in ("covariance", "correlation"):
        gradient = structure_gradient(sigma, form, target_sigma, dtype)
        assert gradient.isfinite().all()
        bound = BOUND if form == "correlation" else 4 * target_sigma / 64**0.5 + 1e-6
        assert gradient.norm() <= bound


def test_the_correlation_gradient_grows_as_one_over_sigma_down_to_the_floor():
    norms = [structure_gradient(sigma, "correlation").norm().item() for sigma in (1.0, 0.1, 1e-6, 1e-9)]
    assert norms[1] / norms[0] == pytest.approx(10, rel=1e-3)
    assert norms[3] == pytest.approx(norms[2], rel=1e-3)
    assert 0.3 * BOUND < norms[3] < BOUND


def test_exactly_flat_sub_patches_have_zero_gradient_of_contrast_and_a_useful_one_of_structure():
    target = pair(4, 4, 4)[1]
    for form in ("covariance", "correlation"):
        flat = torch.full_like(target, 0.1).requires_grad_()
        parts = block_components(flat, target, 4, form)
        (along_contrast,) = torch.autograd.grad(parts.contrast.sum(), flat, retain_graph=True)
        (along_structure,) = torch.autograd.grad(parts.structure.sum(), flat)
        assert along_contrast.abs().max() == 0
        towards_target = -(along_structure * (target - target.mean())).sum()
        assert towards_target > 0
        assert block_components(flat, flat + 1, 4, form).structure.abs().max() < 1e-12


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"Unknown structure term 'cov'.*Known: covariance, correlation"):
        MVCLoss(structure="cov")
    with pytest.raises(ValueError, match="Unknown structure term 'cov'"):
        block_components(*pair(8, 8, 8), structure="cov")
    with pytest.raises(ValueError, match="brightness, contrast and structure"):
        MVCLoss(weights=(0.5, 0.5))
