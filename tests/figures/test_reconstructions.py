"""Masks and reconstructions as pictures: what is hidden, one scale of grey, one of error."""

import numpy as np
import pytest

from studykit.figures.reconstructions import mask_picture, on_voxels, place_of, reconstruction_panel

SPACING = (1.0, 1.5, 2.0)


@pytest.fixture
def volume():
    return np.random.default_rng(0).normal(size=(12, 16, 8)).astype(np.float32)


def test_a_patch_mask_grows_to_voxels():
    mask = np.zeros((2, 2, 2), bool)
    mask[1, 0, 1] = True
    grown = on_voxels(mask, (4, 6, 8))
    assert grown.sum() == 2 * 3 * 4 and grown[2:, :3, 4:].all()
    with pytest.raises(ValueError, match="does not divide"):
        on_voxels(mask, (5, 6, 8))


def test_mask_picture_states_the_share_hidden(volume):
    mask = np.zeros((3, 4, 2), bool)
    mask[0] = True
    fig = mask_picture(volume, {"random": mask, "none": ~mask & mask}, SPACING, "Masks")
    assert [axis.get_ylabel() for axis in fig.axes if axis.get_ylabel()] == [
        "random\n33% hidden",
        "none\n0% hidden",
    ]
    assert "hidden patches" in fig.get_supxlabel()


def test_reconstructions_share_grey_and_error_scales(volume):
    mask = np.ones((3, 4, 2), bool)
    rebuilt = {"MAE": volume + 1, "BertsWin": volume - 0.25}
    fig = reconstruction_panel(
        volume, mask, rebuilt, SPACING, "A crop", {"MAE": "MSE 1", "BertsWin": "MSE 0.06"}
    )
    titles = [axis.get_title(loc="left") for axis in fig.axes]
    assert {"original", "masked input", "MAE\nMSE 1", "BertsWin\nMSE 0.06"} <= set(titles)
    limits = {
        image.get_clim() for axis in fig.axes for image in axis.images if image.get_cmap().name == "inferno"
    }
    limits_of_errors = set(limits)
    assert len(limits) == 1 and limits.pop() == pytest.approx((0, 1), abs=1e-5)
    greys = {axis.images[0].get_clim() for axis in fig.axes if axis.images} - limits_of_errors
    assert len(greys) == 1
    assert {"intensity", "absolute error"} <= {axis.get_xlabel() for axis in fig.findobj(type(fig.axes[0]))}


def test_the_crop_is_found_and_framed_in_the_volume_it_was_cut_from(volume):
    whole = np.random.default_rng(1).normal(size=(20, 30, 16)).astype(np.float32)
    whole[3:15, 10:26, 4:12] = volume
    assert place_of(volume, whole) == (3, 10, 4) and place_of(volume + 1, whole) is None
    mask = np.ones((3, 4, 2), bool)
    fig = reconstruction_panel(volume, mask, {"MAE": volume}, SPACING, "A crop", whole=whole)
    axial, coronal = fig.axes[:2]
    assert [axis.get_title(loc="left") for axis in (axial, coronal)] == [
        "where it lies, axial",
        "where it lies, coronal",
    ]
    (frame,) = axial.patches
    assert (frame.get_width(), frame.get_height()) == (12, 24)
    assert frame.get_xy() == (10 - 15, 15 - 22.5), "X runs to the left in a picture"
    elsewhere = reconstruction_panel(volume + 1, mask, {"MAE": volume}, SPACING, "A crop", whole=whole)
    assert len(elsewhere.axes) == len(fig.axes) - 2


@pytest.mark.parametrize("arms", [1, 3, 5])
def test_pictures_are_large_enough_to_be_looked_at(volume, arms):
    rebuilt = {f"arm {i}": volume for i in range(arms)}
    fig = reconstruction_panel(volume, np.ones((3, 4, 2), bool), rebuilt, SPACING, "A crop")
    fig.canvas.draw()
    pictures = [axis for axis in fig.axes if axis.images and axis.get_title(loc="left")]
    assert len(pictures) == 2 * (1 + arms)
    assert min(axis.get_window_extent().height / fig.dpi for axis in pictures) > 1.5


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda v: mask_picture(v, {}, SPACING, "t"), "no masks"),
        (lambda v: reconstruction_panel(v, v > 0, {}, SPACING, "t"), "no reconstructions"),
        (lambda v: reconstruction_panel(v, v > 0, {"MAE": v[1:]}, SPACING, "t"), "MAE has shape"),
    ],
)
def test_bad_input_is_named(volume, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(volume)
