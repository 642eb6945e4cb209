import dataclasses
import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from tiny_volumes import affine, blob, save

from studykit.data.files.errors import BadVolume
from studykit.data.files.refs import VolumeRef
from studykit.data.volumes.volumes import (
    HU_DEVIATION,
    HU_MEAN,
    PREPARATION_VERSION,
    Volume,
    VolumeSettings,
    is_ct,
    prepare_arrays,
    read_volume,
)


def stored_as(array, matrix, orientation):
    """The same volume with its axes permuted and flipped, and the affine that says so."""
    return nib.orientations.apply_orientation(array, orientation), matrix @ nib.orientations.inv_ornt_aff(
        orientation, array.shape
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1), (1, -1, 1)])
def test_every_storage_order_gives_the_same_canonical_volume(tmp_path, order, flips):
    array, matrix = blob(), affine((1.0, 1.5, 2.0))
    turned, turned_matrix = stored_as(array, matrix, np.column_stack([order, flips]))
    volume = read_volume(VolumeRef(save(tmp_path / "x.nii", turned, turned_matrix)))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, matrix, atol=1e-5)


def test_oblique_volume_keeps_its_tilt(tmp_path):
    angle = np.radians(10)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = nib.affines.from_matvec(turn @ np.diag([1, 1.5, 2]), [1, 2, 3])
    array = blob()
    turned, turned_matrix = stored_as(array, matrix, np.array([[1, 1], [0, -1], [2, 1]]))
    volume = read_volume(VolumeRef(save(tmp_path / "x.nii", turned, turned_matrix)))
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, matrix, atol=1e-5)


def test_affine_of_the_reference_replaces_the_files(tmp_path):
    path = save(tmp_path / "x.nii", blob(), affine(origin=(0, 0, 0)))
    better = ((-1.0, 0.0, 0.0, 6.0), (0.0, 1.0, 0.0, -4.0), (0.0, 0.0, 1.0, 2.0), (0.0, 0.0, 0.0, 1.0))
    volume = read_volume(VolumeRef(path, affine=better))
    np.testing.assert_array_equal(volume.array, blob()[::-1])
    np.testing.assert_allclose(volume.affine[:3, 3], [6 - 13, -4, 2])


def with_value(value):
    array = blob()
    array[3, 3, 3] = value
    return array


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.ones((8, 9), np.float32), "not 3-D"),
        (np.ones((8, 9, 1), np.float32), "not 3-D"),
        (np.stack([blob(), blob()], -1), "not 3-D"),
        (np.zeros((0, 3, 3), np.float32), "empty"),
        (np.full((3, 4, 5), 7, np.float32), "constant: every voxel is 7"),
        (with_value(np.nan), "1 NaN or infinite"),
        (with_value(np.inf), "1 NaN or infinite"),
    ],
)
def test_unusable_voxels_are_refused_with_path_and_reason(tmp_path, array, reason):
    path = save(tmp_path / "x.nii.gz", array)
    with pytest.raises(BadVolume, match=reason) as error:
        read_volume(VolumeRef(path))
    assert error.value.path == str(path)


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.zeros((4, 4)), "voxel size of"),
        (np.diag([1.0, np.nan, 1, 1]), "NaN or infinite numbers in its affine"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular affine"),
        (np.diag([1e-4, 1e-4, 1e-4, 1]), "not in millimetres"),
    ],
)
def test_broken_affines_are_refused(tmp_path, matrix, reason):
    path = save(tmp_path / "x.nii.gz")
    with pytest.raises(BadVolume, match=reason):
        read_volume(VolumeRef(path, affine=tuple(map(tuple, matrix))))


def test_singular_affine_in_the_file_is_refused(tmp_path):
    image = nib.Nifti1Image(blob(), affine())
    image.header["srow_x"] = image.header["srow_y"]
    image.header["sform_code"] = 1
    (tmp_path / "x.nii").write_bytes(image.to_bytes())
    data = bytearray((tmp_path / "x.nii").read_bytes())
    data[280:296] = data[296:312]
    (tmp_path / "x.nii").write_bytes(data)
    with pytest.raises(BadVolume, match="singular"):
        read_volume(VolumeRef(tmp_path / "x.nii"))


def test_single_frame_is_squeezed(tmp_path):
    path = save(tmp_path / "x.nii", blob()[..., None])
    assert read_volume(VolumeRef(path)).array.shape == blob().shape


def phantom(air: float, tissue: float) -> Volume:
    """A ball of radius 12 mm in a cube of 48 mm, voxels of 1 mm, centred on (0, 0, 0) mm."""
    grid = np.stack(np.meshgrid(*[np.arange(48.0) - 23.5] * 3, indexing="ij"))
    ball = (grid**2).sum(0) < 144
    array = np.where(ball, tissue + grid[0] + 2 * grid[1], air)
    noise = np.random.default_rng(0).normal(0, 1, array.shape)
    return Volume((array + noise).astype(np.float32), affine(origin=(-23.5,) * 3), "phantom")


@pytest.mark.parametrize(
    ("air", "tissue", "modality"), [(0, 300, "T1w"), (-1000, 40, "CT"), (-1000, 40, "unknown")]
)
def test_prepared_volume_is_cut_to_the_subject_and_standardised(air, tissue, modality):
    settings = VolumeSettings(spacing_mm=2.0, margin_mm=4.0)
    prepared = prepare_arrays(phantom(air, tissue), None, modality, settings)
    assert all(0 <= side - 16 <= 2 for side in prepared.image.shape), (
        "24 mm and twice 4 mm, in voxels of 2 mm"
    )
    inside = prepared.image[prepared.foreground]
    assert inside.mean() == pytest.approx(0, abs=1e-3)
    assert inside.std() == pytest.approx(1, abs=1e-3)
    middle = prepared.affine @ [*(np.array(prepared.image.shape) - 1) / 2, 1]
    np.testing.assert_allclose(middle[:3], 0, atol=1.01)
    assert prepared.intensity == ("mr-percentile" if modality == "T1w" else "ct-window")


def test_hu_window_clips_metal_and_the_outside_of_the_field_of_view():
    volume = phantom(-1000, 40)
    metal = volume.array.copy()
    metal[22:26, 22:26, 22:26] = 30000
    metal[0] = -3024
    windowed, plain = (
        prepare_arrays(Volume(array, volume.affine, "x"), None, "CT", VolumeSettings(1.0, crop=False)).image
        for array in (metal, np.clip(metal, -1011, 1992))
    )
    np.testing.assert_array_equal(windowed, plain)


@pytest.mark.parametrize("modality", ["CT", "unknown"])
def test_hu_are_recovered_inside_the_window_and_clipped_outside(modality):
    volume = phantom(-1000, 40)
    array = volume.array.copy()
    array[20, 20, 20:26] = -3024.0, -1011.0, -300.0, 300.0, 1992.0, 30000.0
    settings = VolumeSettings(1.0, intensity="hu", crop=False)
    prepared = prepare_arrays(Volume(array, volume.affine, "x"), None, modality, settings)
    assert prepared.intensity == "hu" and prepared.image.dtype == np.float32
    recovered = prepared.image.astype(np.float64) * HU_DEVIATION + HU_MEAN
    rounding = np.abs(prepared.image).max() * HU_DEVIATION * np.finfo(np.float32).eps
    np.testing.assert_allclose(recovered, np.clip(array, -1011, 1992), atol=rounding, rtol=0)


def test_hu_keeps_the_grid_and_foreground_of_the_ct_window():
    plain, hu = (
        prepare_arrays(phantom(-1000, 40), None, "CT", VolumeSettings(2.0, intensity=intensity))
        for intensity in ("ct-window", "hu")
    )
    np.testing.assert_array_equal(hu.foreground, plain.foreground)
    np.testing.assert_array_equal(hu.affine, plain.affine)
    slope, offset = np.polyfit(plain.image.ravel().astype(float), hu.image.ravel().astype(float), 1)
    np.testing.assert_allclose(hu.image, slope * plain.image + offset, atol=1e-4)


@pytest.mark.parametrize(("air", "modality"), [(0, "T1w"), (-1000, "MR"), (0, "unknown")])
def test_hu_of_what_is_not_ct_is_refused(air, modality):
    with pytest.raises(BadVolume, match=rf"not CT \(modality '{modality}'\).*use 'mr-percentile'") as error:
        prepare_arrays(phantom(air, 300), None, modality, VolumeSettings(2.0, intensity="hu"))
    assert error.value.path == "phantom"


def test_labels_are_cut_with_the_image():
    volume = phantom(0, 300)
    labels = (volume.array > 150).astype(np.int32) * 1035
    prepared = prepare_arrays(volume, labels, "T1w", VolumeSettings(2.0))
    assert prepared.labels.shape == prepared.image.shape
    assert prepared.labels.dtype == np.int16
    assert set(np.unique(prepared.labels)) == {0, 1035}
    overlap = (prepared.labels > 0) & prepared.foreground
    assert 2 * overlap.sum() / ((prepared.labels > 0).sum() + prepared.foreground.sum()) > 0.85


def test_volume_without_air_is_kept_whole():
    array = np.random.default_rng(0).normal(500, 20, (20, 22, 24)).astype(np.float32)
    prepared = prepare_arrays(Volume(array, affine(), "x"), None, "MR", VolumeSettings(1.0))
    assert prepared.image.shape == array.shape


def test_what_is_constant_inside_the_window_is_refused():
    array = np.full((10, 10, 10), 5000, np.float32)
    array[0] = 6000
    with pytest.raises(BadVolume, match="constant inside its intensity window"):
        prepare_arrays(Volume(array, affine(), "x"), None, "CT", VolumeSettings(1.0))


def test_unknown_modality_is_told_by_air():
    assert is_ct(phantom(-1000, 40).array, "unknown")
    assert not is_ct(phantom(0, 300).array, "unknown")
    assert not is_ct(phantom(-1000, 40).array, "MR")


def test_identity_tells_settings_apart_by_value():
    names = [field.name for field in dataclasses.fields(VolumeSettings)]
    assert list(VolumeSettings().identity()) == names, "every setting is part of the identity"
    assert VolumeSettings(2).identity() == VolumeSettings((2.0, 2.0, 2.0)).identity()
    assert VolumeSettings(2).identity() != VolumeSettings((2.0, 2.0, 2.5)).identity()


def test_identity_of_the_default_settings_stays_what_finished_runs_were_made_with():
    assert json.dumps(VolumeSettings().identity(), sort_keys=True) == (
        '{"crop": true, "hu_window": [-1011.0, 1992.0], "intensity": "auto", "margin_mm": 4.0, '
        '"percentiles": [0.5, 99.5], "spacing_mm": [2.0, 2.0, 2.0]}'
    )
    assert PREPARATION_VERSION == 1


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"intensity": "minmax"}, "known: auto, ct-window, mr-percentile, hu"),
        ({"spacing_mm": 0.0}, "spacing_mm"),
        ({"spacing_mm": (1.0, 1.0, -1.0)}, "spacing_mm"),
        ({"spacing_mm": "2"}, "spacing_mm must lie in .*got '2'"),
        ({"spacing_mm": (1.0, 2.0)}, "spacing_mm must lie in"),
        ({"hu_window": (5.0, 5.0)}, "hu_window"),
        ({"percentiles": (99.0, 1.0)}, "percentiles"),
    ],
)
def test_settings_are_checked(wrong, match):
    with pytest.raises(ValueError, match=match):
        VolumeSettings(**wrong)
