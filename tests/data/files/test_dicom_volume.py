"""Slices and frames land where DICOM puts them, in their own units, or are refused by name."""

import numpy as np
import pytest
from tiny_dicom import HU, MARKED, evenly, voxels, write_file, write_frames, write_slices

from studykit.data.files.errors import BadVolume
from studykit.data.files.folder import read_folder
from studykit.data.volumes.volumes import read_volume


def only_volume(folder):
    (subject,) = read_folder(folder)
    return read_volume(subject.image)


def marker(volume):
    """RAS mm of the marked voxel."""
    (place,) = np.argwhere(np.abs(volume.array - HU) < 0.5)
    return (volume.affine @ [*place, 1])[:3]


def refusal(folder):
    (subject,) = read_folder(folder)
    with pytest.raises(BadVolume) as caught:
        read_volume(subject.image)
    return str(caught.value)


def ras(*lps):
    return np.array(lps) * [-1, -1, 1]


def test_an_upright_series_lands_where_its_tags_say(tmp_path):
    slices, row, column = MARKED
    write_slices(tmp_path, PixelSpacing=[2, 3])
    volume = only_volume(tmp_path)
    assert volume.spacing_mm == pytest.approx((3, 2, 5))
    assert marker(volume) == pytest.approx(ras(3 * column, 2 * row, 5 * slices))


@pytest.mark.parametrize("degrees", [20, -12, 40])
def test_a_tilted_gantry_gives_a_sheared_grid(tmp_path, degrees):
    tilt = 5 * np.tan(np.radians(degrees))
    write_slices(tmp_path, positions=evenly(step=(0, -tilt, 5)))
    assert marker(only_volume(tmp_path)) == pytest.approx(ras(9, 3 - 6 * tilt, 30), abs=1e-6)


def test_an_oblique_series_lands_where_its_tags_say(tmp_path):
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    normal = np.cross(turn[0], turn[1])
    axes = [*np.round(turn[0], 8).tolist(), *np.round(turn[1], 8).tolist()]
    write_slices(tmp_path, positions=np.round(evenly(step=4 * normal), 6), ImageOrientationPatient=axes)
    expected = turn[0] * 9 + turn[1] * 3 + normal * 4 * 6
    assert marker(only_volume(tmp_path)) == pytest.approx(ras(*expected), abs=1e-4)


def test_half_a_series_shifted_aside_is_refused_with_the_slice(tmp_path):
    positions = [(10 * (i >= 4), 0, 5 * i) for i in range(8)]
    assert "slices do not lie on a line: from 004.dcm on by 10 mm" in refusal(
        write_slices(tmp_path, positions=positions)
    )


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"PixelSpacing": [0.9, 0.9]}, "slices of several pixel spacings: 005.dcm has (0.9, 0.9)"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.866, 0.5]}, "slices of several orientations: 005.dcm"),
        ({"PixelSpacing": None}, "005.dcm has no pixel size (PixelSpacing)"),
        ({"PixelSpacing": [0, 0]}, "005.dcm has no pixel size (PixelSpacing) but (0, 0)"),
        ({"PixelSpacing": ["nan", 1]}, "005.dcm has no pixel size"),
        ({"ImagePositionPatient": None}, "005.dcm has no position or orientation"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "005.dcm has no position or orientation"),
        ({"ImagePositionPatient": [0, 0, 26.5]}, "slices are missing or doubled: steps from 3.5 to 6.5 mm"),
    ],
)
def test_one_odd_slice_is_named(tmp_path, own, said):
    assert said in refusal(write_slices(tmp_path, own={5: own}))


def test_one_slice_of_another_size_is_named(tmp_path):
    write_slices(tmp_path)
    write_file(tmp_path / "002.dcm", np.zeros((10, 12)), ImagePositionPatient=[0, 0, 10])
    assert "slices of several sizes: 002.dcm has 12 x 10 pixels" in refusal(tmp_path)


def test_a_three_plane_localizer_is_no_volume(tmp_path):
    planes = [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]]
    own = {number: {"ImageOrientationPatient": axes} for number, axes in enumerate(planes)}
    assert "slices of several orientations" in refusal(
        write_slices(tmp_path, voxels(7)[:3], evenly(3, (0, 5, 3)), own)
    )


def test_every_slice_keeps_its_own_scale(tmp_path):
    array = np.stack([np.arange(168).reshape(14, 12) + 1500] * 4)
    scales = [("1", "0"), ("0.25", "0"), ("0.25", "-2000"), ("2", "-1024")]
    own = {n: {"RescaleSlope": s, "RescaleIntercept": i} for n, (s, i) in enumerate(scales)}
    volume = only_volume(write_slices(tmp_path, array, evenly(4), own))
    for number, (slope, intercept) in enumerate(scales):
        expected = np.sort(array[number].ravel() * float(slope) + float(intercept))
        assert np.sort(volume.array[..., number].ravel()) == pytest.approx(expected)


def test_frames_lie_where_their_groups_say_in_any_order(tmp_path):
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    for name, frames in {"even": range(8), "shuffled": order}.items():
        write_frames(tmp_path / name / "e.dcm", voxels()[list(frames)], [5 * i for i in frames])
        volume = only_volume(tmp_path / name)
        assert volume.spacing_mm == pytest.approx((3, 2, 5))
        assert marker(volume) == pytest.approx(ras(10 + 3 * 9, 20 + 2 * 3, 30))


def test_frames_with_a_gap_are_refused_with_the_frame(tmp_path):
    write_frames(tmp_path / "e.dcm", voxels(), [0, 5, 10, 15, 20, 25, 60, 65])
    assert "steps from 5 to 35 mm, the oddest before frame 7" in refusal(tmp_path)


def test_frames_keep_their_own_scale(tmp_path):
    scales = [(1 + i, -1024 - i) for i in range(8)]
    write_frames(tmp_path / "e.dcm", voxels(), [5 * i for i in range(8)], scales)
    volume = only_volume(tmp_path)
    for number, (slope, intercept) in enumerate(scales):
        expected = np.sort(voxels()[number].ravel() * float(slope) + intercept)
        assert np.sort(volume.array[..., number].ravel()) == pytest.approx(expected)


def test_a_file_of_frames_without_places_is_refused(tmp_path):
    write_file(tmp_path / "f.dcm", voxels())
    assert "slices are missing or doubled" in refusal(tmp_path)


@pytest.mark.parametrize("keep", [-100, -2])
def test_a_slice_cut_short_is_named(tmp_path, keep):
    write_slices(tmp_path)
    file = tmp_path / "007.dcm"
    file.write_bytes(file.read_bytes()[:keep])
    assert "007.dcm: its pixels cannot be read, they are cut short or damaged" in refusal(tmp_path)


def test_a_file_that_would_take_gigabytes_to_read_is_refused_first(tmp_path):
    write_slices(tmp_path)
    file = tmp_path / "007.dcm"
    file.write_bytes(file.read_bytes().replace(b"\2\0\2\0UI", b"\2\0\2\0Uf"))
    assert "007.dcm is damaged: (0002,0002) is of the unknown kind 'Uf'" in refusal(tmp_path)


def test_files_without_a_preamble_are_read(tmp_path):
    write_slices(tmp_path, mark=False)
    assert marker(only_volume(tmp_path)) == pytest.approx(ras(9, 3, 30))
