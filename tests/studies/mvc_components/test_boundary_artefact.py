"""The boundary index on volumes whose seams are drawn by hand."""

import math

import pytest
import torch

from studykit.masking import upsample_mask
from studykit.studies.mvc_components.boundary_artefact import boundary_artefact_index


def ramp(batch=1, n=12):
    """A slope of 1 a voxel along every axis, (B, 1, n, n, n): every jump is 1."""
    axis = torch.arange(float(n))
    return (axis[:, None, None] + axis[:, None] + axis).expand(batch, 1, n, n, n).clone()


def steps(height, n=12, patch=4):
    """``height`` more in each next patch along every axis."""
    return ramp(n=n // patch).mul(height).repeat_interleave(patch, 2).repeat_interleave(
        patch, 3).repeat_interleave(patch, 4)  # fmt: skip


def test_the_original_at_any_brightness_and_contrast_has_index_1():
    original = torch.randn(3, 2, 8, 8, 12, generator=torch.Generator().manual_seed(0))
    one = torch.ones(3, dtype=torch.float64)
    assert torch.equal(boundary_artefact_index(original, original, 4), one)
    torch.testing.assert_close(boundary_artefact_index(0.3 * original.double() - 2, original, 4), one)


@pytest.mark.parametrize("height", [0.5, 1.0, 4.0])
def test_steps_at_patch_faces_raise_it_by_their_height(height):
    index = boundary_artefact_index(ramp() + steps(height), ramp(), 4)
    assert index.tolist() == pytest.approx([1 + height])


def test_it_is_relative_to_the_original():
    original = ramp() + steps(1.0)
    assert boundary_artefact_index(ramp() + steps(3.0), original, 4).item() == pytest.approx(2)


def test_offsets_by_patch_raise_it_and_smooth_change_does_not():
    generator = torch.Generator().manual_seed(0)
    original = torch.randn(2, 1, 16, 16, 16, generator=generator)
    offsets = torch.randn(2, 1, 4, 4, 4, generator=generator)
    for axis in (2, 3, 4):
        offsets = offsets.repeat_interleave(4, dim=axis)
    assert (boundary_artefact_index(original + offsets, original, 4) > 1.1).all()
    smooth = torch.nn.functional.avg_pool3d(original, 3, stride=1, padding=1)
    torch.testing.assert_close(
        boundary_artefact_index(smooth, original, 4), torch.ones(2).double(), atol=0.15, rtol=0
    )


def test_each_volume_has_its_own_index():
    both = torch.cat([ramp(), ramp() + steps(2.0)])
    assert boundary_artefact_index(both, ramp(2), 4).tolist() == pytest.approx([1, 3])


def test_a_mask_leaves_out_pairs_inside_visible_patches():
    mask = torch.zeros(1, 3, 3, 3, dtype=torch.bool)
    mask[0, 1, 1, 1] = True
    reconstruction = torch.where(upsample_mask(mask, 4), ramp() + 5, ramp())
    masked = boundary_artefact_index(reconstruction, ramp(), 4, mask)
    # Its six faces: the three lower ones jump by 1 + 5, the three upper ones by |1 - 5|.
    assert masked.item() == pytest.approx((6 + 4) / 2)
    assert 1 < boundary_artefact_index(reconstruction, ramp(), 4).item() < masked.item()
    reconstruction[0, 0, 0, 0, 0] = 100
    assert boundary_artefact_index(reconstruction, ramp(), 4, mask).item() == masked.item()


def test_patchwise_constant_is_infinite_and_constant_has_no_index():
    assert boundary_artefact_index(steps(1.0), ramp(), 4).item() == math.inf
    assert boundary_artefact_index(torch.ones(1, 1, 12, 12, 12), ramp(), 4).isnan().all()


def test_bad_input_is_refused():
    flat = torch.cat([ramp(), torch.zeros(1, 1, 12, 12, 12), steps(1.0)])
    with pytest.raises(ValueError, match=r"Originals \[1, 2\] of the batch are flat"):
        boundary_artefact_index(ramp(3), flat, 4)
    with pytest.raises(ValueError, match="one shape"):
        boundary_artefact_index(ramp(), ramp(2), 4)
    for patch in (1, 5, 12):
        with pytest.raises(ValueError, match=f"got patches of {patch}³"):
            boundary_artefact_index(ramp(), ramp(), patch)
    with pytest.raises(ValueError, match=r"mask must be \(1, 3, 3, 3\), got \(1, 2, 2, 2\)"):
        boundary_artefact_index(ramp(), ramp(), 4, torch.ones(1, 2, 2, 2, dtype=torch.bool))
