"""Vesselness: tubes answer, sheets and background do not; scales are millimetres."""

import numpy as np
import pytest

from studykit.data.volumes.vesselness import FILTERS, vesselness


def tube(radius=2.0, brightness=1.0):
    """A tube along the last axis at (12, 20), and a sheet four voxels thick."""
    places = np.mgrid[:40, :40, :24]
    image = (np.hypot(places[0] - 12, places[1] - 20) <= radius) * brightness
    image[29:33] = brightness
    return image.astype(np.float32)


@pytest.mark.parametrize("ridge_filter", FILTERS)
def test_a_tube_answers_a_sheet_and_the_background_do_not(ridge_filter):
    response = vesselness(tube(), 1.0, (1.0, 2.0), ridge_filter)
    assert response.dtype == np.float32 and response.shape == (40, 40, 24)
    assert response.min() >= 0 and response.max() == 1
    assert response[12, 20, 4:20].min() > 0.9
    assert response[31, 4:36, 4:20].max() < 1e-3 and response[20, 5, 12] < 1e-3


@pytest.mark.parametrize("ridge_filter", FILTERS)
def test_intensity_units_do_not_decide(ridge_filter):
    bright = vesselness(tube(), 1.0, (2.0,), ridge_filter)
    for scale, shift in ((300, -50), (1e-3, 0), (1e-6, 0)):
        other = vesselness(scale * tube() + shift, 1.0, (2.0,), ridge_filter)
        np.testing.assert_allclose(other, bright, atol=1e-4, err_msg=f"{scale} x")


def test_dark_tubes_do_not_answer():
    assert vesselness(-tube(), 1.0, (2.0,))[12, 20, 12] < 0.01


def test_scales_are_in_millimetres():
    image = tube()
    np.testing.assert_allclose(vesselness(image, 0.5, (1.0,)), vesselness(image, 1.0, (2.0,)), atol=1e-6)
    assert vesselness(image, 1.0, (2.0,))[12, 20, 12] > vesselness(image, 4.0, (2.0,))[12, 20, 12]


def test_without_any_ridge_all_is_zero():
    assert np.array_equal(vesselness(np.ones((8, 8, 8)), 1.0, (1.0,)), np.zeros((8, 8, 8)))


def test_bad_input_is_refused():
    image = np.zeros((8, 8, 8))
    with pytest.raises(ValueError, match="Known: sato, frangi"):
        vesselness(image, 1.0, ridge_filter="hessian")
    with pytest.raises(ValueError, match="isotropic voxels, got"):
        vesselness(image, (1.0, 1.0, 3.0))
    with pytest.raises(ValueError, match="finite 3-D volume"):
        vesselness(np.full((8, 8, 8), np.nan), 1.0)
    with pytest.raises(ValueError, match="positive numbers"):
        vesselness(image, 1.0, scales_mm=())


def test_the_vesselness_of_a_prepared_volume_is_kept(tmp_path, monkeypatch):
    from dataclasses import replace

    import studykit.data.volumes.vesselness as module
    from studykit.data.volumes.cache import PreparedVolume

    monkeypatch.setenv("STUDYKIT_DATA", str(tmp_path))
    grid = np.stack(np.meshgrid(*[np.arange(16.0)] * 3, indexing="ij"))
    image = np.exp(-((grid[1] - 8) ** 2 + (grid[2] - 8) ** 2) / 4).astype(np.float32)
    whole = np.ones(image.shape, bool)
    volume = PreparedVolume("a", image, whole, None, np.eye(4), "MR", "key of a")
    first = np.array(module.vesselness_of(volume))
    np.testing.assert_array_equal(first, module.vesselness(image, 1.0))
    monkeypatch.setattr(module, "vesselness", None)
    np.testing.assert_array_equal(module.vesselness_of(volume), first)
    with pytest.raises(TypeError):
        module.vesselness_of(replace(volume, key="key of another"))
